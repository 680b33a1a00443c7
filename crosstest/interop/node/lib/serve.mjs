// serve answers requests on standard input: a JSON object on each line, and a JSON object on a line of
// standard output for each. The first line that it prints has the version of the package.
import { createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

const print = (value) => process.stdout.write(JSON.stringify(value) + '\n');

// serve prints what verify decides over each request. verify returns the claims or throws.
export async function serve(name, verify) {
  const version = name === 'node' ? process.versions.node
    : JSON.parse(readFileSync(new URL(`../node_modules/${name}/package.json`, import.meta.url))).version;
  print({ version });
  for await (const line of createInterface({ input: process.stdin })) {
    try {
      const claims = await verify(JSON.parse(line));
      print({ accepted: true, subject: claims.sub });
    } catch (error) {
      print({ accepted: false, error: String(error?.message || error) });
    }
  }
  process.exit(0);
}

export const symmetric = (request) => request.algorithm.startsWith('HS');
export const secretOf = (request) => Buffer.from(request.secret, 'base64');
export const publicPEM = (request) => createPublicKey({ key: request.jwk, format: 'jwk' }).export({ type: 'spki', format: 'pem' });
export const keyOf = (request) => (symmetric(request) ? secretOf(request) : publicPEM(request));

// once calls make once for each value of the request's members, and returns what it made.
export function once(make, ...members) {
  const made = new Map();
  return (request) => {
    const name = JSON.stringify(members.map((member) => request[member]));
    if (!made.has(name)) made.set(name, make(request));
    return made.get(name);
  };
}

// overHTTP returns a verify function that sends the token to a server on a loopback port. listenerOf
// returns the server's listener for a request. The server responds with the claims, or with an error.
export function overHTTP(listenerOf) {
  let listener;
  const server = createServer((req, res) => listener(req, res));
  const listening = new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return async (request) => {
    await listening;
    listener = await listenerOf(request);
    const response = await fetch(`http://127.0.0.1:${server.address().port}/`, {
      headers: { authorization: `Bearer ${request.token}`, connection: 'close' },
    });
    const text = await response.text();
    if (response.status !== 200) throw new Error(`${response.status} ${response.headers.get('www-authenticate') || ''} ${text}`.slice(0, 300));
    return JSON.parse(text);
  };
}
