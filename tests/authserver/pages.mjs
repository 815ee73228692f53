// The pages on which a person logs in and agrees, or does not: plain forms, for a browser and for a script. Any password will do.
import { text } from 'node:stream/consumers';

const PATH = /^\/interaction\/([\w-]+)$/;

export function pages(provider) {
  return async (ctx, next) => {
    if (!PATH.test(ctx.path)) return next();
    ctx.set('cache-control', 'no-store');
    const interaction = await provider.interactionDetails(ctx.req, ctx.res);
    if (ctx.method === 'GET') {
      ctx.body = interaction.prompt.name === 'login' ? loginPage(interaction) : consentPage(interaction);
      return undefined;
    }
    const form = new URLSearchParams(await text(ctx.req));
    const result = await answerOf(provider, interaction, form);
    return provider.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: true });
  };
}

async function answerOf(provider, interaction, form) {
  if (form.get('choice') === 'deny') return { error: 'access_denied', error_description: 'the person said no' };
  if (interaction.prompt.name === 'login') return { login: { accountId: form.get('login') } };

  const { prompt: { details }, params, session, grantId } = interaction;
  const grant = (grantId && await provider.Grant.find(grantId))
    || new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  if (details.missingOIDCScope) grant.addOIDCScope(details.missingOIDCScope.join(' '));
  if (details.missingOIDCClaims) grant.addOIDCClaims(details.missingOIDCClaims);
  return { consent: { grantId: await grant.save() } };
}

const loginPage = ({ params }) => page('Log in', `
  <label>Account <input name="login" required autofocus autocomplete="off" value="${escape(params.login_hint ?? '')}"></label>
  <label>Password <input name="password" type="password" autocomplete="off" placeholder="any will do"></label>
  <button name="choice" value="login">Log in</button>`);

const consentPage = ({ params, session, prompt }) => page('Allow access?', `
  <p><b>${escape(params.client_id)}</b> asks ${escape(session.accountId)} for access to:</p>
  <ul>${(prompt.details.missingOIDCScope ?? params.scope.split(' ')).map((scope) => `<li>${escape(scope)}</li>`).join('')}</ul>
  <button name="choice" value="allow">Allow</button>
  <button name="choice" value="deny">Deny</button>`);

const page = (title, content) => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${title} – demo authorization server</title>
<style>
  :root { color-scheme: light dark; font: 1.1rem/1.5 system-ui, sans-serif }
  main { max-width: 26rem; margin: 15vh auto; padding: 0 1rem }
  label { display: block; margin: 1rem 0 }
  input { font: inherit; width: 100%; box-sizing: border-box }
  button { font: inherit; padding: .3rem 1.2rem; margin-right: .5rem }
  small { opacity: .7 }
</style>
<main>
  <h1>${title}</h1>
  <form method="post">${content}
  </form>
  <p><small>An authorization server for tests and the demo; it runs on this machine only.</small></p>
</main>
</html>
`;

const escape = (value) => String(value).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
