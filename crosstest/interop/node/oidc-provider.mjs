// oidc-provider on a free port of the loopback address. Every log-in is by user-1, without a page. The
// access tokens are JWTs; the resource https://api.example.com/ALG gets tokens of that algorithm.
//
// Requests on standard input: {"op": "rotate"} makes new keys that sign, and keeps the former ones in
// the key set; {"op": "forget"} removes the former ones; {"op": "down"} stops listening, and
// {"op": "up"} listens again on the same port.
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { exportJWK, generateKeyPair } from 'jose';
import Provider from 'oidc-provider';

// The provider logs to the console. Standard output is for responses.
console.info = console.log = console.warn = console.error;

const algorithms = ['RS256', 'PS256', 'ES256', 'EdDSA'];
const print = (value) => process.stdout.write(JSON.stringify(value) + '\n');

async function newKeys() {
  return Promise.all(algorithms.map(async (alg) => {
    const { privateKey } = await generateKeyPair(alg, { extractable: true });
    return { ...(await exportJWK(privateKey)), alg, kid: `${alg}-${randomUUID()}`, use: 'sig' };
  }));
}

const server = createServer(async (req, res) => {
  if (req.url.startsWith('/interaction/')) {
    await provider.interactionFinished(req, res, { login: { accountId: 'user-1' } }, { mergeWithLastSubmission: false });
    return;
  }
  provider.callback()(req, res);
});
const listen = (port) => new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
await listen(0);
const { port } = server.address();
const issuer = `http://127.0.0.1:${port}`;

function newProvider(keys) {
  const made = new Provider(issuer, {
    clients: [
      { client_id: 'service', client_secret: 'secret of the service', grant_types: ['client_credentials'], response_types: [], redirect_uris: [] },
      { client_id: 'web', client_secret: 'secret of the web client', redirect_uris: ['https://client.example/callback'] },
    ],
    jwks: { keys },
    cookies: { keys: ['interop'] },
    scopes: ['openid', 'read'],
    findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
    loadExistingGrant: async (ctx) => {
      const { client, session, params } = ctx.oidc;
      const grant = new ctx.oidc.provider.Grant({ clientId: client.clientId, accountId: session.accountId });
      grant.addOIDCScope('openid read');
      grant.addResourceScope(params.resource, 'read');
      await grant.save();
      return grant;
    },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        useGrantedResource: () => true,
        getResourceServerInfo: (ctx, resource) => ({
          scope: 'read',
          audience: resource,
          accessTokenFormat: 'jwt',
          accessTokenTTL: 300,
          jwt: { sign: { alg: algorithms.find((alg) => resource.endsWith(`/${alg}`)) || 'RS256' } },
        }),
      },
    },
  });
  made.on('server_error', (ctx, error) => console.error(error));
  return made;
}

let keys = await newKeys();
let provider = newProvider(keys);
const { version } = JSON.parse(readFileSync(new URL('./node_modules/oidc-provider/package.json', import.meta.url)));
print({ version, issuer });

for await (const line of createInterface({ input: process.stdin })) {
  switch (JSON.parse(line).op) {
    case 'rotate':
      keys = [...await newKeys(), ...keys];
      provider = newProvider(keys);
      break;
    case 'forget':
      keys = keys.slice(0, algorithms.length);
      provider = newProvider(keys);
      break;
    case 'down':
      await new Promise((resolve) => { server.close(resolve); server.closeAllConnections(); });
      break;
    case 'up':
      await listen(port);
  }
  print({});
}
process.exit(0);
