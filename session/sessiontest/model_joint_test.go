package sessiontest

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/session"
)

// jointModel is a model that is also a blacklist.
type jointModel struct {
	*model
	// both is held while rows and entries are written, and while either is read.
	both sync.RWMutex
	list *blacklist.Memory

	lastMu sync.Mutex
	last   map[string]blacklist.Revocation // the last revocation of each session and subject
}

func newJointModel(now func() time.Time, fault string) (*jointModel, error) {
	m := &jointModel{model: newModel(now, fault), last: map[string]blacklist.Revocation{}}
	return m, m.empty()
}

func (m *jointModel) empty() (err error) {
	m.list, err = blacklist.NewMemory(blacklist.WithClock(m.now), blacklist.WithLogger(slog.New(slog.DiscardHandler)))
	return err
}

func (m *jointModel) Revoke(ctx context.Context, r blacklist.Revocation) (bool, error) {
	return m.list.Revoke(ctx, r)
}

func (m *jointModel) IsRevoked(ctx context.Context, id blacklist.Identity) (bool, error) {
	m.both.RLock()
	defer m.both.RUnlock()
	revoked, err := m.list.IsRevoked(ctx, id)
	m.lastMu.Lock()
	defer m.lastMu.Unlock()
	entry, hasEntry := m.last[id.Subject+"|"+id.Session]
	cutOff, isCut := m.last[id.Subject+"|"]
	switch {
	case m.is("shortens entries") && hasEntry:
		return revoked && m.now().Before(entry.Until), err
	case m.is("lowers cut-offs") && isCut:
		return !id.SessionStart.After(cutOff.CutOff), err
	}
	return revoked, err
}

func (m *jointModel) List(ctx context.Context, s session.Subject, position string, limit int) ([]session.Row, string, error) {
	m.both.RLock()
	defer m.both.RUnlock()
	return m.model.List(ctx, s, position, limit)
}

func (m *jointModel) Update(ctx context.Context, s session.Subject, step func(session.Tx) error) error {
	if m.is("a plain Tx") {
		return m.model.Update(ctx, s, step)
	}
	var tx jointModelTx
	if !m.is("the row before the entry") && !m.is("the entry before the row") {
		m.both.Lock()
		defer m.both.Unlock()
	}
	err := m.model.Update(ctx, s, func(plain session.Tx) error {
		tx = jointModelTx{plain.(*modelTx), m}
		if err := step(&tx); err != nil {
			return err
		}
		if m.is("the entry before the row") {
			defer yield()
			return m.record(ctx, tx.revoked)
		}
		return nil
	})
	if errors.Is(err, errStep) && m.is("a step that fails revokes") {
		return errors.Join(err, m.record(ctx, tx.revoked))
	}
	if err != nil || m.is("revokes nothing") {
		return err
	}
	if m.is("the row before the entry") {
		yield()
	}
	return m.record(ctx, tx.revoked)
}

func (m *jointModel) record(ctx context.Context, revocations []blacklist.Revocation) error {
	for i, r := range revocations {
		if m.is("revokes the first only") && i > 0 {
			return nil
		}
		m.lastMu.Lock()
		m.last[r.Identity.Subject+"|"+r.Identity.Session] = r
		m.lastMu.Unlock()
		if m.is("revokes the session id of all subjects") && r.Kind == blacklist.Session {
			all := r
			all.Identity.Subject = bob.Name
			_, _ = m.list.Revoke(ctx, all)
		}
		if _, err := m.list.Revoke(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

func (m *jointModel) Forget(ctx context.Context, s session.Subject) error {
	if m.is("Forget forgets revocations") {
		if err := m.empty(); err != nil {
			return err
		}
	}
	return m.model.Forget(ctx, s)
}

type jointModelTx struct {
	*modelTx
	joint *jointModel
}

func (t *jointModelTx) Revoke(r blacklist.Revocation) error {
	if t.joint.is("an invalid revocation is no error") {
		if r.Validate() != nil {
			return nil
		}
	} else if err := r.Validate(); err != nil && !t.joint.is("notices an invalid revocation after the commit") {
		return err
	}
	if !r.Until.IsZero() && !t.now.Before(r.Until) && !t.joint.is("notices an invalid revocation after the commit") {
		return blacklist.ErrInvalid
	}
	t.revoked = append(t.revoked, r)
	return nil
}

// dropPrefix begins the names of the faults that lose one field of a row.
const dropPrefix = "loses the field "

// damaged returns the row as the fault writes it.
func (m *model) damaged(row session.Row) session.Row {
	if field, ok := strings.CutPrefix(m.fault, dropPrefix); ok {
		reflect.ValueOf(&row).Elem().FieldByName(field).SetZero()
	}
	switch m.fault {
	case "times in seconds":
		row.LastSeen = row.LastSeen.Truncate(time.Second)
	case "devices truncated":
		row.Device.UserAgent = row.Device.UserAgent[:min(len(row.Device.UserAgent), 512)]
	case "ASCII only":
		row.Device.Name = strings.Map(func(r rune) rune { return min(r, '\x7f') }, row.Device.Name)
	}
	return row
}
