/** First words of programs that speak something else, web pages among them: what a port on loopback hears sooner or later. */

export type Foreign = readonly [name: string, bytes: Uint8Array | string];

const lines = (...words: readonly string[]): string => `${words.join("\r\n")}\r\n\r\n`;

export const FOREIGN_PROTOCOLS: readonly Foreign[] = [
  ["HTTP", lines("GET / HTTP/1.1", "Host: localhost")],
  ["HTTP from a web page", `${lines("POST / HTTP/1.1", "Origin: http://evil.example", "Content-Length: 3")}{}\n`],
  ["HTTP under a name that was rebound to this host", lines("GET /job/ls HTTP/1.1", "Host: attacker.example:3030")],
  ["HTTP of the oldest version", "GET /\r\n"],
  ["HTTP CONNECT", lines("CONNECT 127.0.0.1:22 HTTP/1.1", "Host: 127.0.0.1:22")],
  ["HTTP with our hello as its body", `${lines("POST / HTTP/1.1", "Content-Length: 50")}\xe7expjob\n\0\x01\0\0`],
  ["HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
  [
    "a WebSocket upgrade of a web page",
    lines("GET /chat HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade", "Origin: https://evil.example"),
  ],
  ["a CORS preflight", lines("OPTIONS / HTTP/1.1", "Origin: https://evil.example", "Access-Control-Request-Private-Network: true")],
  ["TLS", Uint8Array.of(0x16, 0x03, 0x01, 0x00, 0x05, 0x01, 0x00, 0x00, 0x01, 0x03)],
  ["SSH", "SSH-2.0-OpenSSH_9.2\r\n"],
  ["Redis", "*1\r\n$4\r\nPING\r\n"],
  ["Redis inline", "PING\r\n"],
  ["SMTP", "EHLO localhost\r\n"],
  ["FTP", "USER anonymous\r\n"],
  ["POP3", "CAPA\r\n"],
  ["IMAP", "a1 LOGIN a b\r\n"],
  ["NNTP", "LIST\r\n"],
  ["IRC", "NICK x\r\nUSER x 0 * :x\r\n"],
  ["SIP", lines("OPTIONS sip:x SIP/2.0", "Via: SIP/2.0/TCP x")],
  ["Telnet", Uint8Array.of(0xff, 0xfd, 0x18, 0xff, 0xfd, 0x20)],
  ["memcached", "stats\r\n"],
  ["PostgreSQL", Uint8Array.of(0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f)],
  ["MySQL", Uint8Array.of(0x20, 0, 0, 1, 0x85, 0xa6, 0x3f, 0x20)],
  ["MongoDB", Uint8Array.of(0x3a, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xd4, 7, 0, 0)],
  ["LDAP", Uint8Array.of(0x30, 0x0c, 2, 1, 1, 0x60, 7)],
  ["SMB", Uint8Array.of(0, 0, 0, 0x2f, 0xff, 0x53, 0x4d, 0x42, 0x72)],
  ["DNS over TCP", Uint8Array.of(0, 0x1d, 0xaa, 0xaa, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0)],
  ["SOCKS 4", Uint8Array.of(4, 1, 0, 80, 127, 0, 0, 1, 0)],
  ["SOCKS 5", Uint8Array.of(5, 1, 0)],
  ["RDP", Uint8Array.of(3, 0, 0, 0x13, 0x0e, 0xe0)],
  ["MQTT", Uint8Array.of(0x10, 0x0c, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4)],
  ["AMQP", "AMQP\x00\x00\x09\x01"],
  ["RTSP", "OPTIONS * RTSP/1.0\r\n\r\n"],
  ["X11", Uint8Array.of(0x6c, 0, 0x0b, 0, 0, 0, 0, 0, 0, 0, 0, 0)],
  ["nothing but zeros", new Uint8Array(1_000)],
  ["msgpack without a handshake", Uint8Array.of(0, 0, 0, 1, 0x80)],
];
