// What networks do to the answers of the token endpoint, on demand: hold them back, or cut the connection once the work is done. And what a
// server does whose database hangs: take requests, and neither work them off nor answer.
import { basicCredentials } from './ledger.mjs';

class Faults {
  held = []; // whose answers wait
  cuts = 0; // answers still to be cut
  ignored = []; // whose token requests were taken and ignored
  isIgnoring = false;
  #gate = null; // closed while there is one

  hold() {
    if (this.#gate) return;
    this.#gate = {};
    this.#gate.opened = new Promise((open) => { this.#gate.open = open; });
  }

  release() {
    this.#gate?.open();
    this.#gate = null;
  }

  middleware = async (ctx, next) => {
    if (this.isIgnoring && ctx.path === '/token' && ctx.method === 'POST') {
      this.ignored.push(basicCredentials(ctx).id ?? null);
      ctx.respond = false;
      return;
    }
    await next();
    if (ctx.path !== '/token') return;
    if (this.#gate) {
      const client = basicCredentials(ctx).id ?? null;
      this.held.push(client);
      await this.#gate.opened;
      this.held.splice(this.held.indexOf(client), 1);
    }
    if (this.cuts > 0) {
      this.cuts -= 1;
      ctx.respond = false;
      ctx.res.destroy();
    }
  };
}

export const faults = new Faults();
