// A real OpenID Connect issuer: oidc-provider, on a free port of the loopback. Its one argument is
// {clients, person}: the registered clients, and who is signed in to it. It prints its address, and
// ends with its standard input.
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

const { clients, person } = JSON.parse(process.argv[2]);
const server = createServer();
await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients,
  claims: {
    openid: ['sub'],
    email: ['email', 'email_verified'],
    profile: ['name', 'given_name', 'family_name', 'picture'],
  },
  features: { devInteractions: { enabled: false } },
  pkce: { methods: ['S256'], required: () => true },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (_, sub) => ({ accountId: sub, claims: () => person }),
  // Whoever signs in has agreed.
  async loadExistingGrant(context) {
    const grant = new context.oidc.provider.Grant({
      clientId: context.oidc.client.clientId,
      accountId: context.oidc.session.accountId,
    });
    grant.addOIDCScope('openid email profile');
    await grant.save();
    return grant;
  },
});

const answer = provider.callback();
server.on('request', async (request, response) => {
  if (!request.url.startsWith('/interaction/')) return answer(request, response);
  const login = { accountId: person.sub };
  await provider.interactionFinished(request, response, { login });
});

console.log(JSON.stringify({ event: 'listening', issuer }));
process.stdin.resume().on('end', () => process.exit(0));
