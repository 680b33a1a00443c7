package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// servers are the servers of the program: that of the API, and those of the addresses that are set.
type servers struct {
	list   []server
	logger *slog.Logger
	// api, metrics and console are the URLs of what is served; "" is not served.
	api, metrics, console string
}

// listenAll listens on all addresses. On an error it listens on none.
func listenAll(getenv func(string) string, anywhere bool, api *api, metrics http.Handler, logger *slog.Logger) (_ *servers, err error) {
	s := &servers{logger: logger}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	listener, err := listen(orDefault(getenv("ADDR"), "127.0.0.1:8080"), anywhere)
	if err != nil {
		return nil, err
	}
	s.api = s.add(listener, api.handler)
	if listener, err = listenForMetrics(getenv("METRICS_ADDR"), anywhere, logger); err != nil {
		return nil, err
	}
	if listener != nil {
		s.metrics = s.add(listener, metrics) + "/metrics"
	}
	if getenv("ADMIN_TOKEN") != "" {
		if listener, err = listen(orDefault(getenv("ADMIN_ADDR"), "127.0.0.1:8081"), anywhere); err != nil {
			return nil, err
		}
		logger.Info("serving the operator", "address", s.add(listener, api.operator))
	}
	if listener, err = listenConsole(getenv("CONSOLE_ADDR"), anywhere); err != nil {
		return nil, err
	}
	if listener != nil {
		s.console = s.add(listener, api.console) + api.consolePath
	}
	return s, nil
}

// add adds a server, and returns its URL.
func (s *servers) add(listener net.Listener, handler http.Handler) string {
	s.list = append(s.list, newServer(listener, handler, s.logger))
	return "http://" + listener.Addr().String()
}

// print prints what is served, and what to try.
func (s *servers) print(w io.Writer, store string) {
	fmt.Fprintf(w, welcome, s.api, store, demoKey, orDefault(s.metrics, "nowhere"))
	if s.console == "" {
		fmt.Fprintln(w, "\nNo developer console: CONSOLE_ADDR=127.0.0.1:8090 serves it.")
	} else {
		fmt.Fprintf(w, "\nDeveloper console: %s\n", s.console)
	}
}

// server is an HTTP server and the listener that it serves.
type server struct {
	*http.Server
	listener net.Listener
}

func newServer(listener net.Listener, handler http.Handler, logger *slog.Logger) server {
	return server{&http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}, listener}
}

// close closes the listeners of servers that do not serve yet.
func (s *servers) close() (err error) {
	for _, server := range s.list {
		err = errors.Join(err, server.listener.Close())
	}
	return err
}

// serve serves until ctx ends or a server fails, and then waits for the requests in progress.
func (s *servers) serve(ctx context.Context) error {
	stopped := make(chan error, len(s.list))
	for _, server := range s.list {
		go func() { stopped <- server.Serve(server.listener) }()
	}
	var err error
	select {
	case err = <-stopped:
	case <-ctx.Done():
		s.logger.Info("shutting down")
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	for _, server := range s.list {
		if failed := server.Shutdown(ctx); failed != nil {
			err = errors.Join(err, failed, server.Close())
		}
	}
	return err
}

// listen listens on the address, which must be loopback unless anywhere is set.
func listen(addr string, anywhere bool) (net.Listener, error) {
	resolved, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, err
	}
	if !anywhere && !resolved.IP.IsLoopback() {
		return nil, fmt.Errorf("%s is not a loopback address, and the passwords of the demo users are public; use -demo-users-anywhere to listen there", addr)
	}
	return net.ListenTCP("tcp", resolved)
}

const welcome = `Serving the reference API on %[1]s
Users: alice/wonderland (USER), admin/rabbit-hole (ADMIN). Sessions and revocations are kept %[2]s.
Metrics for Prometheus are served at %[4]s
Try:
  curl -s %[1]s/greeting
  TOKEN=$(curl -s %[1]s/login -d '{"username":"alice","password":"wonderland"}' | sed 's/.*"access_token":"\([^"]*\).*/\1/')
  curl -s %[1]s/protected -H "Authorization: Bearer $TOKEN"
  curl -N %[1]s/events -H "Authorization: Bearer $TOKEN"
  curl -s %[1]s/reports -d '{"title":"A report"}' -H "Authorization: Bearer $TOKEN" -H "X-API-Key: %[3]s"
`
