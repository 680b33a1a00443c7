package main

import (
	"io"
	"net"
	"sync"
	"time"
)

// proxy is a TCP proxy in front of a server. While it is cut nothing passes, and what was sent
// meanwhile arrives afterwards, as in a network that loses packets and sends them again.
type proxy struct {
	listener net.Listener

	mu     sync.Mutex
	open   *sync.Cond // while not cut
	target string
	cut    bool
	ended  bool
	conns  map[net.Conn]bool
}

// startProxy starts a proxy that ends with the scenario.
func startProxy(h *helper, target string) *proxy {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	h.must(err)
	p := &proxy{listener: listener, target: target, conns: make(map[net.Conn]bool)}
	p.open = sync.NewCond(&p.mu)
	h.Cleanup(p.close)
	go p.accept()
	return p
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

func (p *proxy) port() int { return p.listener.Addr().(*net.TCPAddr).Port }

// setCut begins or ends the cut.
func (p *proxy) setCut(cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = cut
	p.open.Broadcast()
}

// retarget makes new connections go to another server. Those that are open stay.
func (p *proxy) retarget(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// passable waits until the proxy is not cut. It reports false if it has ended.
func (p *proxy) passable() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.cut && !p.ended {
		p.open.Wait()
	}
	return !p.ended
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		go p.relay(client)
	}
}

func (p *proxy) relay(client net.Conn) {
	defer p.remove(client)
	if !p.add(client) || !p.passable() {
		return
	}
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	server, err := net.DialTimeout("tcp", target, time.Second)
	if err != nil {
		return
	}
	defer p.remove(server)
	if !p.add(server) {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.copy(client, server)
		_ = client.Close()
	}()
	p.copy(server, client)
	_ = server.Close()
	<-done
}

// copy copies until one of the connections ends.
func (p *proxy) copy(to io.Writer, from io.Reader) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if !p.passable() {
			return
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (p *proxy) add(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[conn] = true
	return !p.ended
}

func (p *proxy) remove(conn net.Conn) {
	_ = conn.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, conn)
}

func (p *proxy) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	for conn := range p.conns {
		_ = conn.Close()
	}
	p.open.Broadcast()
}
