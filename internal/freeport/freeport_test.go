package freeport

import (
	"net"
	"testing"
)

func TestNew(t *testing.T) {
	seen := map[int]bool{}
	for range 100 {
		port := New(t)
		if seen[port] || port >= 32768 {
			t.Errorf("port %d: a second time, or among those of outgoing connections", port)
		}
		seen[port] = true
		listener, err := net.Listen("tcp", addr(port))
		if err != nil {
			t.Errorf("a server cannot use it: %v", err)
			continue
		}
		defer listener.Close()
	}
}

func TestReserve(t *testing.T) {
	port := 0
	t.Run("until the test ends", func(t *testing.T) {
		if port = New(t); reserve(t, port) {
			t.Error("reserved twice")
		}
	})
	if !reserve(t, port) {
		t.Error("still reserved after the end of its test")
	}
	t.Run("in use", func(t *testing.T) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		used := listener.Addr().(*net.TCPAddr).Port
		if reserve(t, used) {
			t.Error("reserved a port that is in use")
		}
		reservation, err := net.ListenPacket("udp", addr(used))
		if err != nil {
			t.Fatalf("a refused port stays reserved: %v", err)
		}
		_ = reservation.Close()
	})
}
