// What the server remembers, in a Map, with every change appended to a file: started again on the same file it remembers the same.
import { appendFileSync, existsSync, readFileSync } from 'node:fs';

const KEPT_AFTER_EXPIRY = 600; // seconds; a real server too knows a token for a while after its time

export function openStore(file) {
  const entries = new Map(); // 'Model:id' -> { payload, until }
  const byUid = new Map(); // of sessions

  const changes = {
    put({ key, payload, until }) {
      entries.set(key, { payload, until });
      if (payload.uid) byUid.set(payload.uid, key);
    },
    consume({ key, at }) { entries.get(key).payload.consumed = at; },
    remove({ keys }) { keys.forEach((key) => entries.delete(key)); },
  };
  const apply = (change) => changes[change.what](change);
  const record = (change) => {
    apply(change);
    appendFileSync(file, `${JSON.stringify(change)}\n`, { mode: 0o600 });
  };
  const removeWhere = (holds) => {
    const keys = [...entries].filter(([key, { payload }]) => holds(payload, key)).map(([key]) => key);
    record({ what: 'remove', keys });
    return keys.length;
  };

  if (existsSync(file)) readFileSync(file, 'utf8').split('\n').filter(Boolean).forEach((line) => apply(JSON.parse(line)));

  class Adapter {
    constructor(model) { this.model = model; }

    #key(id) { return `${this.model}:${id}`; }

    #read(key) {
      const entry = entries.get(key);
      return entry && (entry.until === null || entry.until > Date.now()) ? entry.payload : undefined;
    }

    async upsert(id, payload, lifetime) {
      const until = lifetime ? Date.now() + (lifetime + KEPT_AFTER_EXPIRY) * 1000 : null;
      record({ what: 'put', key: this.#key(id), payload, until });
    }

    async find(id) { return this.#read(this.#key(id)); }

    async findByUid(uid) { return this.#read(byUid.get(uid)); }

    async consume(id) { record({ what: 'consume', key: this.#key(id), at: Math.floor(Date.now() / 1000) }); }

    async destroy(id) { record({ what: 'remove', keys: [this.#key(id)] }); }

    async revokeByGrantId(grantId) {
      removeWhere((payload, key) => payload.grantId === grantId && key.startsWith(`${this.model}:`));
    }
  }

  return {
    Adapter,
    addClient: (client) => record({ what: 'put', key: `Client:${client.client_id}`, payload: client, until: null }),
    forgetAccount: (account) => removeWhere((payload) => payload.accountId === account),
  };
}
