// Package freeport chooses ports for servers that tests start as processes of their own.
package freeport

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// New returns a TCP port of 127.0.0.1 on which no process listens, and which no other test gets
// before this one ends, not even in another process.
//
// net.Listen on port 0 would find a port among those that the system also uses for outgoing
// connections (32768 to 60999 on Linux). Between that and the start of the server a connection of
// any program can take it, and keep it for a minute after its end (RFC 9293, section 3.6.1).
func New(t testing.TB) int {
	t.Helper()
	for range 200 {
		port := 20000 + rand.IntN(12000)
		if reserve(t, port) {
			return port
		}
	}
	t.Fatal("freeport: no free port")
	return 0
}

// Addr is New as host:port.
func Addr(t testing.TB) string {
	t.Helper()
	return addr(New(t))
}

func addr(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// reserve reports whether the port is free, and reserves it until the test ends. The reservation is
// a UDP socket with the same number, which no server of TCP notices.
func reserve(t testing.TB, port int) bool {
	reservation, err := net.ListenPacket("udp", addr(port))
	if err != nil {
		return false
	}
	listener, err := net.Listen("tcp", addr(port))
	if err != nil {
		_ = reservation.Close()
		return false
	}
	_ = listener.Close()
	t.Cleanup(func() { _ = reservation.Close() })
	return true
}
