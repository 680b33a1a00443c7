package redistest

import (
	"bytes"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// Proxy stands between a client and a server.
type Proxy struct {
	l      net.Listener
	target string

	mu    sync.Mutex
	conns map[net.Conn]bool
	ended bool
	wg    sync.WaitGroup

	held atomic.Bool
	drop atomic.Pointer[dropOnce]
}

type dropOnce struct {
	command []byte
	done    atomic.Bool
}

// StartProxy starts a proxy before the server.
func StartProxy(t testing.TB, to *Server) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{l: l, target: to.Addr(), conns: make(map[net.Conn]bool)}
	p.wg.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Addr returns host:port.
func (p *Proxy) Addr() string { return p.l.Addr().String() }

// Hold keeps every reply back for good, as a network does that loses packets; the server gets the commands.
func (p *Proxy) Hold(on bool) { p.held.Store(on) }

// DropReplyTo lets the next command that contains the word reach the server, and cuts the connection when the reply to it
// comes, once.
func (p *Proxy) DropReplyTo(word string) { p.drop.Store(&dropOnce{command: []byte(word)}) }

// Dropped reports whether that has happened.
func (p *Proxy) Dropped() bool {
	d := p.drop.Load()
	return d != nil && d.done.Load()
}

func (p *Proxy) accept() {
	for {
		client, err := p.l.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		if p.ended {
			p.mu.Unlock()
			_, _ = client.Close(), server.Close()
			return
		}
		p.conns[client], p.conns[server] = true, true
		p.mu.Unlock()
		var cut atomic.Bool
		both := func() {
			_, _ = client.Close(), server.Close()
			p.mu.Lock()
			delete(p.conns, client)
			delete(p.conns, server)
			p.mu.Unlock()
		}
		p.wg.Go(func() {
			defer both()
			relay(server, client, func(b []byte) (bool, bool) {
				if d := p.drop.Load(); d != nil && bytes.Contains(b, d.command) && d.done.CompareAndSwap(false, true) {
					cut.Store(true)
				}
				return true, true
			})
		})
		p.wg.Go(func() {
			defer both()
			relay(client, server, func([]byte) (bool, bool) { return !p.held.Load(), !cut.Load() })
		})
	}
}

// relay passes bytes on until a connection ends. what says whether to pass these, and whether to go on.
func relay(to io.Writer, from net.Conn, what func([]byte) (pass, on bool)) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			pass, on := what(buf[:n])
			if !on {
				return
			}
			if pass {
				if _, err := to.Write(buf[:n]); err != nil {
					return
				}
			}
		}
		if err != nil {
			return
		}
	}
}

func (p *Proxy) close() {
	_ = p.l.Close()
	p.mu.Lock()
	p.ended = true
	for c := range p.conns {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}
