// A player on QUIC that shares no code with the gateway: ngtcp2 with GnuTLS, and
// WIRE.md alone. It opens strait/1, says hello, sends a message on the control
// stream, one on a channel stream and one as a DATAGRAM, wants all three echoed,
// and ends in order. Each step that succeeded is a line on standard output; exit
// status 0 means all of them.
//
//   client HOST PORT
//
// It does not verify the gateway's certificate: what it proves is the transport.

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>

enum { HEADER = 6, CLIENT_HELLO = 1, SERVER_HELLO = 2, DATA = 3, DATA_UNRELIABLE = 4, PING = 5, PONG = 6, CLOSE = 10 };
enum { CHANNEL = 7, PATIENCE_MS = 10000, DATAGRAM_AGAIN_MS = 200, LONG = 400 };

static const char on_control[] = "on the control stream";
static const char on_channel[] = "on a channel stream";
static const char as_datagram[] = "as a datagram";
static const uint8_t long_message[LONG]; // no datagram that we take has room for it, where there is a limit

// What is to be sent on a stream, and what was received on one.
struct stream {
  int64_t id;
  uint8_t out[512];
  size_t length, sent; // of out
  int fin, finned;
  uint8_t in[4096];
  size_t have;
};

static struct {
  ngtcp2_crypto_conn_ref ref;
  ngtcp2_conn *conn;
  gnutls_session_t tls;
  gnutls_certificate_credentials_t credentials;
  int fd;
  struct sockaddr_storage local, remote;
  socklen_t local_length, remote_length;

  struct stream control;  // both ways
  struct stream channel;  // ours
  struct stream received; // the gateway's, of that channel
  int opened, echoed_control, echoed_channel, echoed_datagram, echoed_long, closed;
  unsigned long limit;  // our max_datagram_frame_size; 0: none
  uint64_t datagram_at; // when the next one is due, in ms
} c;

static void fail(const char *format, ...) {
  va_list a;
  va_start(a, format);
  vfprintf(stderr, format, a);
  va_end(a);
  fputc('\n', stderr);
  exit(1);
}

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * NGTCP2_SECONDS + (uint64_t)t.tv_nsec;
}

static void step(int *done, const char *what) {
  if (*done) return;
  *done = 1;
  puts(what);
  fflush(stdout);
}

static void append(struct stream *s, const void *data, size_t length) {
  if (s->length + length > sizeof s->out) fail("too much to send");
  memcpy(s->out + s->length, data, length);
  s->length += length;
}

static void append_frame(struct stream *s, uint8_t type, uint8_t channel, const void *payload, size_t length) {
  uint8_t header[HEADER] = {(uint8_t)(length >> 16), (uint8_t)(length >> 8), (uint8_t)length, type, channel, 0};
  append(s, header, HEADER);
  append(s, payload, length);
}

// frame acts on one whole frame of a stream.
static void frame(int channel_stream, uint8_t type, uint8_t channel, const uint8_t *payload, size_t length) {
  if (channel_stream) {
    if (type != DATA || channel != CHANNEL) fail("frame %d of channel %d on a stream of channel %d", type, channel, CHANNEL);
    if (length != strlen(on_channel) || memcmp(payload, on_channel, length)) fail("another echo on the channel stream");
    step(&c.echoed_channel, "channel stream echoed");
    return;
  }
  switch (type) {
  case SERVER_HELLO:
    step(&c.opened, "opened");
    append_frame(&c.control, DATA, 0, on_control, strlen(on_control));
    static const uint8_t preface[2] = {0x53, CHANNEL};
    append(&c.channel, preface, sizeof preface);
    append_frame(&c.channel, DATA, CHANNEL, on_channel, strlen(on_channel));
    break;
  case DATA:
    if (channel == 0 && length == strlen(on_control) && !memcmp(payload, on_control, length))
      step(&c.echoed_control, "control stream echoed");
    else
      fail("another echo on the control stream, of channel %d", channel);
    break;
  case DATA_UNRELIABLE:
    if (!c.limit || channel != 3 || length != 2 + LONG || memcmp(payload + 2, long_message, LONG))
      fail("another unreliable message on the control stream, of channel %d", channel);
    step(&c.echoed_long, "long message echoed on the control stream");
    break;
  case PING: {
    uint8_t pong[12] = {0};
    if (length != 8) fail("a PING of %zu bytes", length);
    memcpy(pong, payload, 8);
    append_frame(&c.control, PONG, 0, pong, sizeof pong);
    break;
  }
  case CLOSE:
    if (!c.control.fin) fail("CLOSE before it was asked for: %.*s", (int)length, (const char *)payload);
    step(&c.closed, "closed");
    break;
  default:
    if (type < 0x80) fail("frame of type %d", type);
  }
}

// take cuts what was received on a stream into frames.
static void take(struct stream *s, int channel_stream, const uint8_t *data, size_t length) {
  if (s->have + length > sizeof s->in) fail("too much received");
  memcpy(s->in + s->have, data, length);
  s->have += length;
  size_t at = 0;
  if (channel_stream && !c.echoed_channel) {
    if (s->have < 2) return;
    if (s->in[0] != 0x53 || s->in[1] != CHANNEL) fail("preface %02x %02x", s->in[0], s->in[1]);
    at = 2;
  }
  while (s->have - at >= HEADER) {
    const uint8_t *f = s->in + at;
    size_t n = (size_t)f[0] << 16 | (size_t)f[1] << 8 | f[2];
    if (s->have - at < HEADER + n) break;
    frame(channel_stream, f[3], f[4], f + HEADER, n);
    at += HEADER + n;
  }
  if (channel_stream && !c.echoed_channel) return; // the preface is looked at again
  memmove(s->in, s->in + at, s->have - at);
  s->have -= at;
}

static int recv_stream_data(ngtcp2_conn *conn, uint32_t flags, int64_t id, uint64_t offset, const uint8_t *data,
                            size_t length, void *user, void *stream_user) {
  (void)flags, (void)offset, (void)user, (void)stream_user;
  if (id == c.control.id) {
    take(&c.control, 0, data, length);
  } else {
    if (c.received.id == -1) c.received.id = id;
    if (id != c.received.id) fail("a second stream of the gateway");
    take(&c.received, 1, data, length);
  }
  ngtcp2_conn_extend_max_stream_offset(conn, id, length);
  ngtcp2_conn_extend_max_offset(conn, length);
  return 0;
}

static int recv_datagram(ngtcp2_conn *conn, uint32_t flags, const uint8_t *data, size_t length, void *user) {
  (void)conn, (void)flags, (void)user;
  size_t n = strlen(as_datagram);
  if (length != 4 + n || data[0] != 0x10 || data[1] != 3 || memcmp(data + 4, as_datagram, n))
    fail("another datagram, of %zu bytes", length);
  step(&c.echoed_datagram, "datagram echoed");
  return 0;
}

static void random_bytes(uint8_t *to, size_t n, const ngtcp2_rand_ctx *ctx) {
  (void)ctx;
  if (gnutls_rnd(GNUTLS_RND_RANDOM, to, n)) fail("no random numbers");
}

static int new_connection_id(ngtcp2_conn *conn, ngtcp2_cid *cid, uint8_t *token, size_t n, void *user) {
  (void)conn, (void)user;
  random_bytes(cid->data, n, NULL);
  cid->datalen = n;
  random_bytes(token, NGTCP2_STATELESS_RESET_TOKENLEN, NULL);
  return 0;
}

static ngtcp2_conn *get_conn(ngtcp2_crypto_conn_ref *ref) {
  (void)ref;
  return c.conn;
}

static void connect_to(const char *host, const char *port) {
  struct addrinfo hints = {.ai_socktype = SOCK_DGRAM}, *found;
  int e = getaddrinfo(host, port, &hints, &found);
  if (e) fail("%s: %s", host, gai_strerror(e));
  c.fd = socket(found->ai_family, SOCK_DGRAM, 0);
  if (c.fd < 0 || connect(c.fd, found->ai_addr, found->ai_addrlen)) fail("connect: %s", strerror(errno));
  memcpy(&c.remote, found->ai_addr, found->ai_addrlen);
  c.remote_length = found->ai_addrlen;
  c.local_length = sizeof c.local;
  if (getsockname(c.fd, (struct sockaddr *)&c.local, &c.local_length)) fail("getsockname: %s", strerror(errno));
  if (fcntl(c.fd, F_SETFL, O_NONBLOCK)) fail("fcntl: %s", strerror(errno));
  freeaddrinfo(found);
}

static void begin(void) {
  static const gnutls_datum_t alpn = {(unsigned char *)"strait/1", 8};
  if (gnutls_certificate_allocate_credentials(&c.credentials) ||
      gnutls_init(&c.tls, GNUTLS_CLIENT | GNUTLS_ENABLE_EARLY_DATA | GNUTLS_NO_END_OF_EARLY_DATA) ||
      ngtcp2_crypto_gnutls_configure_client_session(c.tls) ||
      gnutls_priority_set_direct(c.tls, "NORMAL:-VERS-ALL:+VERS-TLS1.3", NULL) ||
      gnutls_credentials_set(c.tls, GNUTLS_CRD_CERTIFICATE, c.credentials) ||
      gnutls_alpn_set_protocols(c.tls, &alpn, 1, GNUTLS_ALPN_MANDATORY))
    fail("GnuTLS cannot be set up");
  c.ref.get_conn = get_conn;
  gnutls_session_set_ptr(c.tls, &c.ref);

  ngtcp2_callbacks callbacks = {
      .client_initial = ngtcp2_crypto_client_initial_cb,
      .recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb,
      .encrypt = ngtcp2_crypto_encrypt_cb,
      .decrypt = ngtcp2_crypto_decrypt_cb,
      .hp_mask = ngtcp2_crypto_hp_mask_cb,
      .recv_stream_data = recv_stream_data,
      .recv_retry = ngtcp2_crypto_recv_retry_cb,
      .rand = random_bytes,
      .get_new_connection_id = new_connection_id,
      .update_key = ngtcp2_crypto_update_key_cb,
      .delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb,
      .delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb,
      .recv_datagram = recv_datagram,
      .get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb,
      .version_negotiation = ngtcp2_crypto_version_negotiation_cb,
  };
  ngtcp2_settings settings;
  ngtcp2_settings_default(&settings);
  settings.initial_ts = now_ns();
  ngtcp2_transport_params params;
  ngtcp2_transport_params_default(&params);
  params.initial_max_streams_uni = 16;
  params.initial_max_stream_data_bidi_local = 64 << 10;
  params.initial_max_stream_data_uni = 64 << 10;
  params.initial_max_data = 256 << 10;
  params.max_datagram_frame_size = c.limit ? c.limit : 65535;
  ngtcp2_cid dcid = {.datalen = NGTCP2_MIN_INITIAL_DCIDLEN}, scid = {.datalen = 8};
  random_bytes(dcid.data, dcid.datalen, NULL);
  random_bytes(scid.data, scid.datalen, NULL);
  ngtcp2_path path = {.local = {(struct sockaddr *)&c.local, c.local_length},
                      .remote = {(struct sockaddr *)&c.remote, c.remote_length}};
  int e = ngtcp2_conn_client_new(&c.conn, &dcid, &scid, &path, NGTCP2_PROTO_VER_V1, &callbacks, &settings, &params,
                                 NULL, NULL);
  if (e) fail("ngtcp2_conn_client_new: %s", ngtcp2_strerror(e));
  ngtcp2_conn_set_tls_native_handle(c.conn, c.tls);
}

static void read_packets(void) {
  uint8_t packet[2048];
  for (;;) {
    ssize_t n = recv(c.fd, packet, sizeof packet, 0);
    if (n < 0) {
      if (errno == EAGAIN || errno == EINTR) return;
      fail("recv: %s", strerror(errno));
    }
    ngtcp2_path path = {.local = {(struct sockaddr *)&c.local, c.local_length},
                        .remote = {(struct sockaddr *)&c.remote, c.remote_length}};
    ngtcp2_pkt_info info = {0};
    int e = ngtcp2_conn_read_pkt(c.conn, &path, &info, packet, (size_t)n, now_ns());
    if (e == NGTCP2_ERR_DRAINING && c.closed) return;
    if (e) fail("ngtcp2_conn_read_pkt: %s", ngtcp2_strerror(e));
  }
}

static void send_packet(const uint8_t *packet, ngtcp2_ssize n) {
  if (n > 0 && send(c.fd, packet, (size_t)n, 0) < 0 && errno != EAGAIN) fail("send: %s", strerror(errno));
}

// due returns the stream that has something to send, or NULL.
static struct stream *due(void) {
  struct stream *all[] = {&c.control, &c.channel};
  for (int i = 0; i < 2; i++) {
    struct stream *s = all[i];
    if (s->id >= 0 && (s->sent < s->length || (s->fin && !s->finned))) return s;
  }
  return NULL;
}

static void write_datagram(const void *message, size_t length) {
  uint8_t packet[1452];
  ngtcp2_path_storage ps;
  ngtcp2_path_storage_zero(&ps);
  ngtcp2_pkt_info info;
  uint8_t body[4 + LONG] = {0x10, 3, 0, 0};
  memcpy(body + 4, message, length);
  ngtcp2_vec v = {body, 4 + length};
  int accepted = 0;
  ngtcp2_ssize n = ngtcp2_conn_writev_datagram(c.conn, &ps.path, &info, packet, sizeof packet, &accepted, 0, 1, &v, 1, now_ns());
  if (n < 0) fail("ngtcp2_conn_writev_datagram: %s", ngtcp2_strerror((int)n));
  send_packet(packet, n);
}

static void write_packets(void) {
  uint8_t packet[1452];
  ngtcp2_path_storage ps;
  ngtcp2_path_storage_zero(&ps);
  ngtcp2_pkt_info info;
  if (ngtcp2_conn_is_in_draining_period(c.conn)) return;
  if (c.opened && now_ns() / NGTCP2_MILLISECONDS >= c.datagram_at) {
    c.datagram_at = now_ns() / NGTCP2_MILLISECONDS + DATAGRAM_AGAIN_MS;
    if (!c.echoed_datagram) write_datagram(as_datagram, strlen(as_datagram));
    if (c.limit && !c.echoed_long) write_datagram(long_message, LONG);
  }
  for (;;) {
    struct stream *s = due();
    ngtcp2_vec v = {0};
    uint32_t flags = 0;
    if (s) {
      v.base = s->out + s->sent;
      v.len = s->length - s->sent;
      if (s->fin) flags = NGTCP2_WRITE_STREAM_FLAG_FIN;
    }
    ngtcp2_ssize wrote = -1;
    ngtcp2_ssize n = ngtcp2_conn_writev_stream(c.conn, &ps.path, &info, packet, sizeof packet, &wrote, flags,
                                               s ? s->id : -1, &v, s ? 1 : 0, now_ns());
    if (n < 0) fail("ngtcp2_conn_writev_stream: %s", ngtcp2_strerror((int)n));
    if (s && wrote >= 0) {
      s->sent += (size_t)wrote;
      if (s->sent == s->length && s->fin) s->finned = 1;
    }
    if (n == 0) return;
    send_packet(packet, n);
  }
}

// open_streams opens ours once there is credit.
static void open_streams(void) {
  if (c.control.id < 0 && ngtcp2_conn_get_streams_bidi_left(c.conn) > 0) {
    int e = ngtcp2_conn_open_bidi_stream(c.conn, &c.control.id, NULL);
    if (e) fail("ngtcp2_conn_open_bidi_stream: %s", ngtcp2_strerror(e));
    static const uint8_t hello[] = {0x08, 1, 0x1a, 8, 's', 't', 'r', 'a', 'n', 'g', 'e', 'r'}; // version 1, client
    append_frame(&c.control, CLIENT_HELLO, 0, hello, sizeof hello);
  }
  if (c.opened && c.channel.id < 0 && ngtcp2_conn_get_streams_uni_left(c.conn) > 0) {
    int e = ngtcp2_conn_open_uni_stream(c.conn, &c.channel.id, NULL);
    if (e) fail("ngtcp2_conn_open_uni_stream: %s", ngtcp2_strerror(e));
  }
}

int main(int argc, char **argv) {
  if (argc != 3 && argc != 4) fail("usage: %s HOST PORT [MAX_DATAGRAM_FRAME_SIZE]", argv[0]);
  if (argc == 4) c.limit = strtoul(argv[3], NULL, 10);
  c.control.id = c.channel.id = c.received.id = -1;
  connect_to(argv[1], argv[2]);
  begin();
  uint64_t end = now_ns() + (uint64_t)PATIENCE_MS * NGTCP2_MILLISECONDS;
  while (!c.closed) {
    open_streams();
    write_packets();
    uint64_t at = now_ns(), wake = ngtcp2_conn_get_expiry(c.conn);
    if (at > end) fail("not done after %d ms", PATIENCE_MS);
    int ms = wake <= at ? 0 : (int)((wake - at) / NGTCP2_MILLISECONDS) + 1;
    if (wake == UINT64_MAX || ms > 50) ms = 50;
    struct pollfd p = {.fd = c.fd, .events = POLLIN};
    if (poll(&p, 1, ms) < 0 && errno != EINTR) fail("poll: %s", strerror(errno));
    read_packets();
    if (ngtcp2_conn_get_expiry(c.conn) <= now_ns()) {
      int e = ngtcp2_conn_handle_expiry(c.conn, now_ns());
      if (e) fail("ngtcp2_conn_handle_expiry: %s", ngtcp2_strerror(e));
    }
    if (c.echoed_control && c.echoed_channel && c.echoed_datagram && (c.echoed_long || !c.limit) && !c.control.fin) {
      static const uint8_t bye[] = {0x12, 3, 'b', 'y', 'e'}; // code 0, reason
      append_frame(&c.control, CLOSE, 0, bye, sizeof bye);
      c.control.fin = c.channel.fin = 1;
    }
  }
  write_packets();
  ngtcp2_conn_del(c.conn);
  gnutls_deinit(c.tls);
  gnutls_certificate_free_credentials(c.credentials);
  close(c.fd);
  return 0;
}
