// Command before is a service with a JWT middleware. It listens on ADDR and signs with SECRET.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/oapi-guard/oapi-guard/example/existing/api"
)

func main() {
	handler, err := newHandler([]byte(os.Getenv("SECRET")))
	if err != nil {
		log.Fatal(err)
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", os.Getenv("ADDR"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("Serving notes on http://%s\n", listener.Addr())
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.Serve(listener))
}

func newHandler(secret []byte) (http.Handler, error) {
	auth, err := newAuth(secret)
	if err != nil {
		return nil, err
	}
	server := &server{auth: auth, notes: map[string][]api.Note{}}
	return auth.protect(api.Handler(api.NewStrictHandler(server, nil))), nil
}
