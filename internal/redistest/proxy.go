package redistest

import (
	"bytes"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// Proxy is a TCP proxy between a client and a server. Tests tell it to withhold replies or to close
// connections.
type Proxy struct {
	listener net.Listener
	target   string

	mu    sync.Mutex
	conns map[net.Conn]bool
	ended bool
	wg    sync.WaitGroup

	withhold atomic.Bool
	drop     atomic.Pointer[dropOnce]
}

// dropOnce is a command whose reply is dropped once.
type dropOnce struct {
	command []byte
	done    atomic.Bool
}

// StartProxy starts a proxy in front of the server.
func StartProxy(t testing.TB, to *Server) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{listener: listener, target: to.Addr(), conns: make(map[net.Conn]bool)}
	p.wg.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Addr returns host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Hold makes the proxy discard all replies while on is true, as a network does that loses packets.
// The server still receives the commands.
func (p *Proxy) Hold(on bool) { p.withhold.Store(on) }

// DropReplyTo lets the next command that contains the word reach the server, and closes the
// connection when its reply arrives.
func (p *Proxy) DropReplyTo(word string) { p.drop.Store(&dropOnce{command: []byte(word)}) }

// Dropped reports whether the command of DropReplyTo has come.
func (p *Proxy) Dropped() bool {
	d := p.drop.Load()
	return d != nil && d.done.Load()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		if !p.add(client, server) {
			_, _ = client.Close(), server.Close()
			return
		}
		p.relay(client, server)
	}
}

// add records the connections. It returns false if the proxy has ended.
func (p *Proxy) add(client, server net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return false
	}
	p.conns[client], p.conns[server] = true, true
	return true
}

// remove closes the connections.
func (p *Proxy) remove(client, server net.Conn) {
	_, _ = client.Close(), server.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, client)
	delete(p.conns, server)
}

// relay starts to copy in both directions.
func (p *Proxy) relay(client, server net.Conn) {
	var dropReply atomic.Bool
	p.wg.Go(func() {
		defer p.remove(client, server)
		copyBytes(server, client, func(b []byte) action {
			if d := p.drop.Load(); d != nil && bytes.Contains(b, d.command) && d.done.CompareAndSwap(false, true) {
				dropReply.Store(true)
			}
			return pass
		})
	})
	p.wg.Go(func() {
		defer p.remove(client, server)
		copyBytes(client, server, func([]byte) action {
			switch {
			case dropReply.Load():
				return stop
			case p.withhold.Load():
				return discard
			default:
				return pass
			}
		})
	})
}

// action says what copyBytes does with the bytes that it has read.
type action int

const (
	pass action = iota
	discard
	stop // end the connection
)

// copyBytes copies until a connection ends or decide returns stop.
func copyBytes(to io.Writer, from net.Conn, decide func([]byte) action) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			switch decide(buf[:n]) {
			case stop:
				return
			case pass:
				if _, err := to.Write(buf[:n]); err != nil {
					return
				}
			case discard:
			}
		}
		if err != nil {
			return
		}
	}
}

func (p *Proxy) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	p.ended = true
	for c := range p.conns {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}
