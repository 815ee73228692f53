// What a test may do to the server from outside its protocol. Loopback only, and no part of the server that clients see.
import { createServer } from 'node:http';
import { json } from 'node:stream/consumers';

export function control(store, faults, rotate) {
  const actions = {
    '/clients': async (request) => store.addClient(await json(request)), // client metadata of RFC 7591
    '/forget': (request, url) => ({ forgotten: store.forgetAccount(url.searchParams.get('account')) }), // tokens, grants, sessions
    '/hold': () => faults.hold(),
    '/release': () => faults.release(),
    '/ignore': () => { faults.isIgnoring = true; },
    '/heed': () => { faults.isIgnoring = false; },
    '/ignored': () => ({ ignored: faults.ignored }),
    '/cut': () => { faults.cuts += 1; },
    '/rotate': () => rotate(), // the signing key, from the next start on
    '/held': () => ({ held: faults.held }),
  };
  return createServer(async (request, response) => {
    const url = new URL(request.url, 'http://control');
    try {
      const result = await actions[url.pathname](request, url);
      response.end(JSON.stringify(result ?? {}));
    } catch (error) {
      response.writeHead(400).end(String(error));
    }
  });
}
