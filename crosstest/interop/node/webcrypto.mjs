// WebCrypto checks signatures only. Browsers and edge workers have the same interface.
import { once, serve, symmetric } from './lib/serve.mjs';

const hash = (request) => `SHA-${request.algorithm.slice(2)}`;
const algorithmOf = {
  HS: (request) => ({ name: 'HMAC', hash: hash(request) }),
  RS: (request) => ({ name: 'RSASSA-PKCS1-v1_5', hash: hash(request) }),
  PS: (request) => ({ name: 'RSA-PSS', hash: hash(request), saltLength: Number(request.algorithm.slice(2)) / 8 }),
  ES: (request) => ({ name: 'ECDSA', hash: hash(request), namedCurve: request.jwk.crv }),
  Ed: () => ({ name: 'Ed25519' }),
};
const keys = once(async (request) => (await fetch(request.jwksURL)).json(), 'jwksURL');

serve('node', async (request) => {
  const algorithm = algorithmOf[request.algorithm.slice(0, 2)](request);
  const [header, payload, signature] = request.token.split('.');
  const { kid } = JSON.parse(Buffer.from(header, 'base64url'));
  const jwk = symmetric(request) ? { kty: 'oct', k: Buffer.from(request.secret, 'base64').toString('base64url') }
    : (await keys(request)).keys.find((key) => key.kid === kid);
  // Node 20 does not know the alg of RFC 8037 here.
  delete jwk.alg;
  const key = await crypto.subtle.importKey('jwk', jwk, algorithm, false, ['verify']);
  if (!await crypto.subtle.verify(algorithm, key, Buffer.from(signature, 'base64url'), Buffer.from(`${header}.${payload}`))) {
    throw new Error('the signature does not match');
  }
  return JSON.parse(Buffer.from(payload, 'base64url'));
});
