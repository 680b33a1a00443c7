import fastifyJWT from '@fastify/jwt';
import fastify from 'fastify';
import { keyOf, once, serve, symmetric } from './lib/serve.mjs';

const app = once(async (request) => {
  const server = fastify();
  await server.register(fastifyJWT, {
    secret: symmetric(request) ? keyOf(request) : { public: keyOf(request) },
    verify: { algorithms: [request.algorithm], allowedIss: request.issuer, allowedAud: request.audience },
  });
  server.get('/', async (req) => req.jwtVerify());
  return server;
}, 'algorithm', 'issuer', 'audience', 'jwksURL', 'secret');

serve('@fastify/jwt', async (request) => {
  const server = await app(request);
  const response = await server.inject({ url: '/', headers: { authorization: `Bearer ${request.token}` } });
  if (response.statusCode !== 200) throw new Error(response.body);
  return response.json();
});
