// Package backend is for those who write game logic: it speaks the link of
// upstream.proto, so that a gateway can hand players to a Go program.
//
//	err := backend.Serve(ctx, "link://127.0.0.1:9000", backend.Funcs{
//		OnMessage: func(s *backend.Session, m backend.Message) {
//			s.Send(m.Delivery, m.Channel, m.Payload)
//		},
//	}, backend.Config{Name: "echo"})
//
// It owns the connections that gateways open to it, the sessions that are
// announced on them and what is queued for them. It never decides who may play,
// never keeps game state, and a panic of a callback is the program's own.
//
//  1. A gateway opens a few streams; the sessions are spread over them, and all
//     that happens to one session comes on one stream, in order.
//  2. Each stream's reader calls the [Handler], one call at a time; streams call
//     concurrently. When a batch is done it is acknowledged, if [Config] says so,
//     and a ping is answered behind the commands that the batches before it led to.
//  3. Commands, from any goroutine, are appended to the stream's bounded buffer and
//     never wait for the network. A writer sends all there is at once.
//  4. When a stream is lost the gateway announces its sessions again on another
//     one: same [Session], with its value, and Opened once more. Sessions that are
//     not announced again in time get Closed with Lost.
//
// Delivery is exactly once and in order while a stream lives. Across the loss of a
// stream reliable messages come at least once with Config.Acknowledge, at most
// once without.
package backend
