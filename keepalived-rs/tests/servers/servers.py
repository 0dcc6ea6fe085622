"""Servers that checkers look at. `steady DIR`: they misbehave while DIR/bad exists. `switch DIR`: they work as long as they run."""

import os
import socketserver
import ssl
import sys
import threading

ROLE, DIR = sys.argv[1], sys.argv[2]


def bad():
    return ROLE == "steady" and os.path.exists(DIR + "/bad")


def page(body):
    head = "HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    return head.encode() + body


class Tcp(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


class Web(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.recv(2048)
        self.request.sendall(b"HTTP/1.0 404 Not Found\r\n\r\n" if bad() else page(b"hello world\n"))


class Text(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.recv(2048)
        self.request.sendall(page(b"another\n" if bad() else b"hello world\n"))


class Short(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.recv(2048)
        self.request.sendall(b"HTTP/1.0 200 OK\r\n" if bad() else b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nabc")


class Mail(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(b"220 mail.example\r\n")
        self.request.recv(512)
        self.request.sendall(b"500 no\r\n" if bad() else b"250 mail.example\r\n")
        self.request.recv(512)
        self.request.sendall(b"221 bye\r\n")


class Names(socketserver.BaseRequestHandler):
    def handle(self):
        question, sock = self.request
        code = 2 if bad() else 0
        sock.sendto(question[:2] + bytes([0x81, 0x80 | code]) + question[4:], self.client_address)


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        data, sock = self.request
        sock.sendto(b"x" + data[1:] if bad() else data, self.client_address)


class Udp(socketserver.ThreadingUDPServer):
    allow_reuse_address = True


servers = []
if ROLE == "switch":
    for at, handler in ((1, Web), (2, Web), (3, Mail)):
        servers.append(Tcp(("127.0.1.%d" % at, 7000), handler))
    for at, handler in ((4, Names), (5, Echo)):
        servers.append(Udp(("127.0.1.%d" % at, 7000), handler))
else:
    for at, handler in ((11, Web), (12, Text), (13, Mail), (16, Text), (17, Short)):
        servers.append(Tcp(("127.0.1.%d" % at, 7000), handler))
    for at, handler in ((14, Names), (15, Echo)):
        servers.append(Udp(("127.0.1.%d" % at, 7000), handler))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(DIR + "/cert.pem", DIR + "/key.pem")
    secure = Tcp(("127.0.1.18", 7000), Web)
    secure.socket = context.wrap_socket(secure.socket, server_side=True, do_handshake_on_connect=False)
    servers.append(secure)
for server in servers:
    threading.Thread(target=server.serve_forever, daemon=True).start()
open(DIR + "/" + ROLE + "." + sys.argv[3], "w").close()
threading.Event().wait()
