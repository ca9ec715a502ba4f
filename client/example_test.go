package client_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"strait/client"
	"strait/client/clienttest"
)

// Say hello to an echo and measure the way to it.
func Example() {
	gateway, err := clienttest.New(clienttest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer gateway.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := client.Dial(ctx, gateway.Addr(), client.Options{
		Pin:     gateway.Pin(), // or CAFile, or nothing for the system's roots
		OnState: func(s client.State) { _ = s.Kind },
	})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	if err := c.Send(ctx, client.Reliable, 7, []byte("hello")); err != nil {
		log.Fatal(err)
	}
	m, err := c.Receive(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s, channel %d: %s\n", m.Delivery, m.Channel, m.Payload)

	rtt, err := c.Ping(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("round trip measured:", rtt > 0)
	// Output:
	// reliable, channel 7: hello
	// round trip measured: true
}
