package backend_test

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"strait/backend"
)

// The whole of an echo, stopped by an interrupt.
func Example() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := backend.Serve(ctx, "link://127.0.0.1:9000", backend.Funcs{
		OnMessage: func(s *backend.Session, m backend.Message) {
			_ = s.Send(m.Delivery, m.Channel, m.Payload)
		},
	}, backend.Config{Name: "echo"})
	if err != nil {
		fmt.Println(err)
	}
}
