// What networks do to the answers of the token endpoint, on demand: hold them back, or cut the connection once the work is done.
class Faults {
  held = 0; // answers waiting
  cuts = 0; // answers still to be cut
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
    await next();
    if (ctx.path !== '/token') return;
    if (this.#gate) {
      this.held += 1;
      await this.#gate.opened;
      this.held -= 1;
    }
    if (this.cuts > 0) {
      this.cuts -= 1;
      ctx.respond = false;
      ctx.res.destroy();
    }
  };
}

export const faults = new Faults();
