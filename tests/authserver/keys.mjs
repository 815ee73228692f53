// The server's own keys, made on its first start and kept with its store: an ID token of before a restart still verifies.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

export function issueKeys(file) {
  if (!existsSync(file)) writeFileSync(file, JSON.stringify(make()), { mode: 0o600 });
  return JSON.parse(readFileSync(file, 'utf8'));
}

// Put a new signing key in the place of the old one, which is gone at once; the server has to be started again.
export function rotateKeys(file) {
  const keys = JSON.parse(readFileSync(file, 'utf8'));
  const key = makeSigningKey(randomBytes(8).toString('hex'));
  writeFileSync(file, JSON.stringify({ ...keys, jwks: { keys: [key] } }), { mode: 0o600 });
  return { kid: key.kid };
}

function make() {
  return {
    jwks: { keys: [makeSigningKey('first')] },
    cookies: { keys: [randomBytes(32).toString('hex')] },
  };
}

function makeSigningKey(kid) {
  const jwk = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });
  return { ...jwk, use: 'sig', alg: 'RS256', kid };
}
