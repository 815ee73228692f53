// What was presented to the server and what it answered, with fingerprints in the place of secrets. A request has two JSON lines
// with the same id: one when its work is done, before the answer is sent, and one when it is known whether the answer arrived.
import { createHash, randomUUID } from 'node:crypto';
import { appendFileSync } from 'node:fs';

const ENDPOINTS = { '/token': 'token', '/token/revocation': 'revocation', '/token/introspection': 'introspection' };

const fingerprint = (secret) => (typeof secret === 'string' ? createHash('sha256').update(secret).digest('hex') : null);
const append = (file, entry) => appendFileSync(file, `${JSON.stringify(entry)}\n`, { mode: 0o600 });

export function keepLedger(ledgerFile, issuedFile) {
  return async (ctx, next) => {
    const endpoint = ctx.method === 'POST' && ENDPOINTS[ctx.path];
    if (!endpoint) return next();

    const id = randomUUID();
    const time = new Date().toISOString();
    ctx.res.once('close', () => append(ledgerFile, { id, delivered: ctx.res.writableFinished }));
    await next();
    const basic = basicCredentials(ctx);
    const body = ctx.oidc?.body ?? {};
    const answer = typeof ctx.body === 'object' && ctx.body !== null ? ctx.body : {};
    if (issuedFile) {
      const { code, code_verifier, refresh_token, token, client_secret } = body;
      noteSecrets(issuedFile, { code, code_verifier, refresh_token, token, client_secret: client_secret ?? basic.secret });
      noteSecrets(issuedFile, { access_token: answer.access_token, refresh_token: answer.refresh_token, id_token: answer.id_token });
    }
    return append(ledgerFile, {
      id,
      time,
      endpoint,
      grant_type: body.grant_type ?? null,
      client_id: ctx.oidc?.client?.clientId ?? body.client_id ?? basic.id ?? null,
      presented: fingerprint(body.refresh_token ?? body.code ?? body.token),
      status: ctx.status,
      error: answer.error ?? null,
      access_token: fingerprint(answer.access_token),
      refresh_token: fingerprint(answer.refresh_token),
    });
  };
}

// A code that nobody ever presents is a secret all the same.
export function noteCodes(provider, issuedFile) {
  if (issuedFile) provider.on('authorization_code.saved', (code) => noteSecrets(issuedFile, { code: code.jti }));
}

function noteSecrets(file, secrets) {
  for (const [kind, value] of Object.entries(secrets)) if (typeof value === 'string') append(file, { kind, value });
}

export function basicCredentials(ctx) {
  const [scheme, encoded] = ctx.get('authorization').split(' ');
  if (scheme.toLowerCase() !== 'basic' || !encoded) return {};
  const [id, secret] = Buffer.from(encoded, 'base64').toString().split(':').map((part) => {
    try { return decodeURIComponent(part.replaceAll('+', ' ')); } catch { return part; }
  });
  return { id, secret };
}
