package pgtest

import (
	"context"
	"testing"
	"time"
)

// TestServerSurvivesFaults shows that the faults do what their names say.
func TestServerSurvivesFaults(t *testing.T) {
	s := Start(t)
	db := s.DB(t)
	if _, err := db.Exec("CREATE TABLE kept (n integer)"); err != nil {
		t.Fatal(err)
	}

	s.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := db.ExecContext(ctx, "SELECT 1"); err == nil {
		t.Error("a paused server answers")
	}
	s.Resume()
	s.WaitReady()

	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s.CutConnections(t)
	if _, err := conn.ExecContext(t.Context(), "SELECT 1"); err == nil {
		t.Error("a connection that was cut works")
	}

	s.Kill()
	if err := s.exec("SELECT 1"); err == nil {
		t.Error("a killed server answers")
	}
	s.Restart()
	s.Exec(t, "INSERT INTO kept VALUES (1)")
}
