// An OpenID provider on loopback that a test can look into: node-oidc-provider, certified, with a ledger, a store that outlives it
// and a control port. Everything it needs to know is in the environment; README.md lists it.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { join } from 'node:path';

import Provider from 'oidc-provider';

import { control } from './control.mjs';
import { faults } from './faults.mjs';
import { issueKeys, rotateKeys } from './keys.mjs';
import { keepLedger, noteCodes } from './ledger.mjs';
import { pages } from './pages.mjs';
import { openStore } from './store.mjs';

const { PORT, CONTROL_PORT, CERTIFICATE, KEY, DIRECTORY, ISSUED_FILE } = process.env;
const lifetime = Number(process.env.ACCESS_TOKEN_LIFETIME ?? 60);
const scopes = (process.env.SCOPES ?? 'openid offline_access email profile calendar.read calendar.write').split(' ');
const issuer = `https://127.0.0.1:${PORT}`;
const keys = join(DIRECTORY, 'keys.json');
const store = openStore(join(DIRECTORY, 'store.jsonl'));

const provider = new Provider(issuer, {
  adapter: store.Adapter,
  ...issueKeys(keys),
  scopes,
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'preferred_username', 'picture'] },
  findAccount: (ctx, id) => ({ accountId: id, claims: () => describe(id) }),
  issueRefreshToken: (ctx, client) => client.grantTypeAllowed('refresh_token'),
  rotateRefreshToken: true,
  expiresWithSession: () => false,
  extraClientMetadata: { properties: ['access_token_lifetime'] },
  ttl: {
    AccessToken: (ctx, token, client) => client.access_token_lifetime ?? lifetime,
    AuthorizationCode: 60,
    Grant: 86400,
    IdToken: 300,
    Interaction: 600,
    RefreshToken: 86400,
    Session: 86400,
  },
  features: {
    devInteractions: { enabled: false },
    introspection: { enabled: true, allowedPolicy: () => true },
    revocation: { enabled: true },
    registration: { enabled: true }, // for those who try examples against the demo
  },
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
});

// Everybody's address is verified, but that of accounts whose name says otherwise.
function describe(id) {
  return {
    sub: id,
    email: `${id}@example.test`,
    email_verified: !id.startsWith('unverified'),
    name: `${id} of the tests`,
    preferred_username: id,
    picture: `${issuer}/pictures/${id}`,
  };
}

noteCodes(provider, ISSUED_FILE);
provider.use(faults.middleware);
provider.use(keepLedger(join(DIRECTORY, 'ledger.jsonl'), ISSUED_FILE));
provider.use(pages(provider));
provider.on('server_error', (ctx, error) => console.error('server_error', error));

control(store, faults, () => rotateKeys(keys)).listen(Number(CONTROL_PORT), '127.0.0.1', () => {
  createServer({ cert: readFileSync(CERTIFICATE), key: readFileSync(KEY) }, provider.callback())
    .listen(Number(PORT), '127.0.0.1', () => console.log(`ready: ${issuer}`));
});
process.on('SIGTERM', () => process.exit(0));
