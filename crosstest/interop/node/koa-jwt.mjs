import Koa from 'koa';
import jwt from 'koa-jwt';
import { koaJwtSecret } from 'jwks-rsa';
import { once, overHTTP, secretOf, serve, symmetric } from './lib/serve.mjs';

const app = once((request) => {
  const { issuer, audience, algorithm } = request;
  const secret = symmetric(request) ? secretOf(request) : koaJwtSecret({ jwksUri: request.jwksURL });
  const server = new Koa();
  server.silent = true;
  server.use(jwt({ secret, issuer, audience, algorithms: [algorithm], debug: true }));
  server.use((ctx) => { ctx.body = ctx.state.user; });
  return server.callback();
}, 'algorithm', 'issuer', 'audience', 'jwksURL', 'secret');

serve('koa-jwt', overHTTP(app));
