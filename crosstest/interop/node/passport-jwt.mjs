import express from 'express';
import { passportJwtSecret } from 'jwks-rsa';
import passport from 'passport';
import { ExtractJwt, Strategy } from 'passport-jwt';
import { once, overHTTP, secretOf, serve, symmetric } from './lib/serve.mjs';

const app = once((request) => {
  const { issuer, audience, algorithm } = request;
  const key = symmetric(request) ? { secretOrKey: secretOf(request) }
    : { secretOrKeyProvider: passportJwtSecret({ jwksUri: request.jwksURL }) };
  const strategy = new Strategy(
    { jwtFromRequest: ExtractJwt.fromAuthHeaderAsBearerToken(), issuer, audience, algorithms: [algorithm], ...key },
    (claims, done) => done(null, claims),
  );
  const server = express();
  server.get('/', passport.authenticate(strategy, { session: false }), (req, res) => res.json(req.user));
  return server;
}, 'algorithm', 'issuer', 'audience', 'jwksURL', 'secret');

serve('passport-jwt', overHTTP(app));
