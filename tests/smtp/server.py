"""A mail server for the tests: aiosmtpd, which prints what it takes, one JSON line for each mail.

Arguments, as JSON: port, certificate, key, login ([name, password]), refusals (how many mails are
refused for the moment before one is taken).
"""

import json
import signal
import ssl
import sys
from email import message_from_bytes, policy

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

setup = json.loads(sys.argv[1])
refusals = setup["refusals"]


def say(**line):
    print(json.dumps(line), flush=True)


class Handler:
    async def handle_DATA(self, server, session, envelope):
        global refusals
        message = message_from_bytes(envelope.original_content, policy=policy.default)
        say(event="attempt", messageId=message["Message-ID"])
        if refusals > 0:
            refusals -= 1
            return "451 Come again later"
        part = lambda kind: message.get_body((kind,)).get_content()
        say(
            event="mail",
            sender=envelope.mail_from,
            to=envelope.rcpt_tos,
            headers={name: str(value) for name, value in message.items()},
            text=part("plain"),
            html=part("html"),
            tls=session.ssl is not None,
            login=(session.auth_data or b"").decode(),
        )
        return "250 Taken"


def authenticate(server, session, envelope, mechanism, data):
    name, password = setup["login"]
    good = data.login == name.encode() and data.password == password.encode()
    return AuthResult(success=good, auth_data=data.login)


class Server(Controller):
    def factory(self):
        options = {}
        if setup["certificate"]:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(setup["certificate"], setup["key"])
            options.update(tls_context=context, require_starttls=True)
        if setup["login"]:
            options.update(authenticator=authenticate, auth_required=True)
        return SMTP(self.handler, hostname="mail.test", **options)

    def _trigger_server(self):
        # It connects to itself, which takes the port that it was given.
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


server = Server(Handler(), hostname="127.0.0.1", port=setup["port"])
server.start()
say(event="listening", port=server.port)
signal.sigwait({signal.SIGTERM, signal.SIGINT})
