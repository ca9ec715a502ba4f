// Command tenlines is the smallest backend: it sends each message back to the player
// it came from, as it came.
//
//	go run ./examples/tenlines
//	STRAIT_UPSTREAM=link://127.0.0.1:9000 strait serve
package main

import (
	"cmp"
	"context"
	"log"
	"os"

	"strait/backend"
)

func main() {
	addr := cmp.Or(os.Getenv("LISTEN"), "link://127.0.0.1:9000")
	err := backend.Serve(context.Background(), addr, backend.Funcs{
		OnMessage: func(s *backend.Session, m backend.Message) {
			s.Send(m.Delivery, m.Channel, m.Payload)
		},
	}, backend.Config{Name: "tenlines"})
	log.Fatal(err)
}
