package redisstore

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/session"
)

// How sessions are kept:
//
// The rows of a subject are fields of one hash, next to its record (session_values.go). Two sorted
// sets have the ids: of the live rows by their beginning, for List and Live, and of all rows by the
// time at which something has to be done with them. All are in the bucket of the subject. A
// transaction is optimistic (session_tx.go): its reads are scripts that write nothing, and its
// commit is one script that compares everything that was read before it writes
// (session_scripts.go). If something has changed, the step runs again. So a commit that the client
// has sent twice, because the first reply was lost, finds its writes and changes nothing.

var _ session.Store = (*Store)(nil)

// Update implements session.Store. The Tx is a session.BlacklistTx. Its revocations are those of
// the subject and of its sessions. A commit waits for replicas and disks like a revocation. After an
// error the writes may be in force, for example with too few replicas in time.
func (s *Store) Update(ctx context.Context, subject session.Subject, step func(session.Tx) error) error {
	keys := s.layout.session(subject)
	if err := s.begin(ctx); err != nil {
		return sessionError(err)
	}
	defer s.end()
	ctx, cancel := context.WithTimeout(ctx, s.cfg.writeTimeout)
	defer cancel()
	var turn turn
	defer turn.end()
	var tx *sessionTx
	sent := false // a commit, which may have had an effect
	for round := 0; ; round++ {
		var read []string
		if tx != nil {
			read = tx.used
		}
		tx = &sessionTx{store: s, ctx: ctx, keys: keys, sub: subject, values: make(map[string]any), prefetch: read}
		err := step(tx)
		switch {
		case tx.err != nil:
			err = tx.err
		case err != nil:
			return err
		case tx.writes() || sent:
			// Without writes too after an earlier commit: if its reply was lost, the step has found its
			// writes, and they have to reach the replicas.
			sent = true
			err = tx.commit()
		}
		if !s.runAgain(err) {
			return err
		}
		if !turn.begin(ctx, &s.turns[int(keys.bucket)%len(s.turns)]) || round > 2 && !sleep(ctx, rand.N(10*time.Millisecond)) {
			return unavailable(ctx.Err())
		}
	}
}

// turn is the right of one caller of this process to run a step again. Without it many callers with
// the same session would disturb each other for a long time.
type turn struct{ taken chan struct{} }

// maxTurn is how long a caller waits for its turn. A transaction that waits for replicas may take
// long, and the others need not wait for that.
const maxTurn = 50 * time.Millisecond

// begin waits for the turn, but not for long. It returns false if ctx ends first.
func (t *turn) begin(ctx context.Context, turns *chan struct{}) bool {
	if t.taken != nil {
		return true
	}
	timer := time.NewTimer(maxTurn)
	defer timer.Stop()
	select {
	case *turns <- struct{}{}:
		t.taken = *turns
	case <-timer.C:
	case <-ctx.Done():
		return false
	}
	return true
}

func (t *turn) end() {
	if t.taken != nil {
		<-t.taken
	}
}

// Forget implements session.Store.
func (s *Store) Forget(ctx context.Context, subject session.Subject) error {
	keys := s.layout.session(subject)
	if err := s.begin(ctx); err != nil {
		return sessionError(err)
	}
	defer s.end()
	ctx, cancel := context.WithTimeout(ctx, s.cfg.writeTimeout)
	defer cancel()
	for {
		reply, err := s.readSessions(ctx, keys.bucket, &scriptOp{script: readScript, keys: keys.keys[:2]})
		if err != nil {
			return err
		}
		if err = s.forget(ctx, keys, reply.mark); !s.runAgain(err) {
			return err
		}
	}
}

// forget deletes the rows, unless the mark has changed.
func (s *Store) forget(ctx context.Context, keys sessionKeys, mark string) error {
	forget := &scriptOp{script: forgetScript, keys: keys.keys, args: []any{mark, recordStaysArg}}
	if err := s.write(ctx, []op{forget}); err != nil {
		return err
	}
	code, err := forget.code()
	if err != nil {
		return unavailable(err)
	}
	return codeError(code)
}

// runAgain reports whether a transaction with this error begins anew: something that it has read
// was changed, or the store was emptied and the next read makes the mark.
func (s *Store) runAgain(err error) bool {
	return errors.Is(err, errChanged) || errors.Is(err, errMarkMissing) && s.cfg.missing == LogOut
}

// withMark runs the function, and again after it made a missing mark, if the options say so. No row
// is written in a bucket without a mark.
func (s *Store) withMark(ctx context.Context, bucket uint8, run func() error) error {
	err := run()
	if err == nil || !errors.Is(err, errMarkMissing) || s.cfg.missing != LogOut {
		return err
	}
	if err := s.remake(ctx, bucket); err != nil {
		return err
	}
	return run()
}

// sessionsReply is the reply of a script that reads sessions.
type sessionsReply struct {
	now    time.Time
	mark   string
	record subjectRecord
	values []any
}

// readSessions runs a script that reads. It makes a missing mark if the options say so.
func (s *Store) readSessions(ctx context.Context, bucket uint8, script *scriptOp) (reply sessionsReply, err error) {
	err = s.withMark(ctx, bucket, func() error {
		if err := s.read(ctx, []op{script}); err != nil {
			return err
		}
		values, ok := script.reply.([]any)
		if !ok || len(values) < 4 {
			return unavailable(errReplyFormat)
		}
		if reply.now, err = parseServerTime(values[0], values[1]); err != nil {
			return unavailable(err)
		}
		if reply.mark, err = s.checkMark(values[2]); err != nil {
			return err
		}
		if reply.record, err = parseRecord(values[3]); err != nil {
			return unavailable(err)
		}
		reply.values = values[4:]
		return nil
	})
	return reply, err
}

// checkMark returns an error unless the mark is one of this store.
func (s *Store) checkMark(value any) (string, error) {
	if _, err := s.markRefuses(value, 0); err != nil {
		return "", err
	}
	mark, _ := value.(string)
	return mark, nil
}

// codeError returns the error of the code of a script.
func codeError(code int64) error {
	switch code {
	case codeRecorded:
		return nil
	case codeChanged:
		return errChanged
	case codeMarkMissing:
		return errNoMark
	case codeMarkFormat:
		return unavailable(errMarkFormat)
	default:
		return unavailable(errEntryFormat)
	}
}

// sessionError returns the error of package session for one of package blacklist.
func sessionError(err error) error {
	if errors.Is(err, blacklist.ErrClosed) {
		return session.ErrClosed
	}
	return err
}
