// The server's own keys, made on its first start and kept with its store: an ID token of before a restart still verifies.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

export function issueKeys(file) {
  if (!existsSync(file)) writeFileSync(file, JSON.stringify(make()), { mode: 0o600 });
  return JSON.parse(readFileSync(file, 'utf8'));
}

function make() {
  const jwk = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });
  return {
    jwks: { keys: [{ ...jwk, use: 'sig', alg: 'RS256', kid: 'first' }] },
    cookies: { keys: [randomBytes(32).toString('hex')] },
  };
}
