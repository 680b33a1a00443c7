package sessiontest

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/oapi-guard/oapi-guard/session"
)

func empty(h *harness) {
	h.expectEpoch("nothing was written", alice, 0)
	h.expectNoRow("nothing was written", alice, idMarker)
	h.expectRows("Live of nothing", h.live(alice, 10), nil)
	h.expectRows("List of nothing", h.listAll(alice, 10), nil)
	h.expectOwed("nothing was written")
	h.must("Forget of nothing", h.store.Forget(h.ctx, alice))
	h.update(alice, func(session.Tx) error { return nil })
	h.expectEpoch("an empty transaction", alice, 0)
}

// fullRow returns a row in which every field is set.
func (h *harness) fullRow(id string) session.Row {
	ms := func(n int) time.Time { return h.start.Add(time.Duration(n) * time.Millisecond) }
	row := h.row(alice, id, 0)
	row.Began, row.IssuedAt, row.Rotated, row.LastSeen = ms(1), ms(2), ms(3), ms(4)
	row.ExpiresAt, row.IdleDeadline, row.End = ms(3_600_005), ms(3_600_006), ms(3_600_007)
	row.IdleTimeout, row.AccessLifetime = 1234567*time.Millisecond, 900_001*time.Millisecond
	row.Epoch, row.Generation = math.MaxUint64, math.MaxUint32
	row.Unacknowledged, row.Repeats, row.Repeated = true, 3, true
	row.CSRF, row.ClientID = "csrf", "client \"quoted\" \\ 'and' {}"
	row.Device = session.Device{
		Name:      strings.Repeat("Ä日🦊\t", 21),
		UserAgent: strings.Repeat("Mozilla/5.0 (\"X11\"; 'Linux') \\ \x01\x7f\u2028\r\n%s $1 ?", 15)[:640],
		Address:   "2001:db8::1%eth0 " + strings.Repeat("\x00", 100),
	}
	row.Ended, row.Reason, row.Owed = ms(5), session.Reused, true
	return row
}

func roundTrip(h *harness) {
	full := h.fullRow("full")
	for _, field := range reflect.VisibleFields(reflect.TypeOf(full)) {
		if reflect.ValueOf(full).FieldByIndex(field.Index).IsZero() {
			h.fail("the suite does not set the field %s", field.Name)
		}
	}
	h.put(full)
	h.expectRow("every field is set", full)
	h.expectOwed("every field is set", full)

	liveRow := full
	liveRow.ID, liveRow.Ended, liveRow.Reason, liveRow.Owed = idMarker+"live", time.Time{}, "", false
	h.put(liveRow)
	h.expectRow("a live row", liveRow)
	h.expectRows("List", h.listAll(alice, 10), []session.Row{liveRow})
	h.expectRows("Live", h.live(alice, 10), []session.Row{liveRow})

	small := session.Row{Subject: alice, ID: "1", Began: h.start, End: h.start.Add(long), IdleDeadline: h.start.Add(long)}
	h.put(small)
	h.expectRow("few fields are set", small)
	h.expectRow("another row was put", full)
}

func replace(h *harness) {
	first, other := h.row(alice, "a", 1), h.row(alice, "b", 2)
	h.put(first, other)
	second := h.fullRow("a")
	second.Ended, second.Reason, second.Owed = time.Time{}, "", false
	second.Began = h.start.Add(time.Hour) // moves the row in every order
	h.put(second)
	h.expectRow("replaced", second)
	h.expectRow("another row", other)
	h.expectRows("List after a row was replaced", h.listAll(alice, 1), []session.Row{second, other})
	h.expectRows("Live after a row was replaced", h.live(alice, 10), []session.Row{other, second})
	h.put(first)
	h.expectRow("replaced by shorter texts", first)
	h.expectRows("List after a row was put back", h.listAll(alice, 1), []session.Row{other, first})

	last := first
	last.Generation, last.Nonce = 7, "last"
	h.put(h.row(alice, "c", 3), first, last)
	h.expectRow("put twice in a transaction", last)
	h.update(alice, func(tx session.Tx) error {
		if err := tx.SetEpoch(4); err != nil {
			return err
		}
		return tx.SetEpoch(5)
	})
	h.expectEpoch("set twice in a transaction", alice, 5)
	h.setEpoch(alice, math.MaxUint64)
	h.expectEpoch("the largest number", alice, math.MaxUint64)
	h.setEpoch(alice, 1<<53+1)
	h.expectEpoch("a number that is no float64", alice, 1<<53+1)
	h.expectRow("the epoch was set", last)
	h.put(last)
	h.expectEpoch("a row was put", alice, 1<<53+1)
}

// oddTexts are texts that differ although a store could confuse them.
var oddTexts = []string{
	"a", "A", "a ", " a", "aa", "a.", ".a", "a.1", "a|b", "a|", "|", "a:b", "a:", ":", "a/b", "a\\b", "{a}", "{", "}", "{}", "a}b{",
	`a"b`, "a'b", "a''b", "a`b", "a%b", "a_b", "axb", "a*", "a?", "[a]", "a\x00", "a\x00b", "\x00", "a\nb", "a\rb", "a\tb", "\ufeffa",
	"\u00e4", "a\u0308", "\u65e5\u672c", "\U0001F98A", "0", "00", "1e3", "null", "epoch", "index", "owed", "a,b", "a;b", "--", "$1", "a=b", "é", "É", "ß", "ss",
	strings.Repeat("x", 1024), strings.Repeat("x", 1023) + "y", strings.Repeat("x", 1023),
}

func oddIDs(h *harness) {
	var rows []session.Row
	for i, text := range oddTexts {
		row := h.row(alice, "", i)
		row.ID, row.Nonce = text, fmt.Sprint(i)
		for _, put := range rows[max(0, len(rows)-3):] {
			h.expectRow("another id was put", put)
		}
		h.expectNoRow("not yet put", alice, text)
		h.put(row)
		rows = append(rows, row)
	}
	for _, row := range rows {
		h.expectRow("all ids were put", row)
	}
	h.expectRows("Live of all ids", h.live(alice, 1000), rows)
	slices.Reverse(rows)
	for _, limit := range []int{1, 7, 1000} {
		h.expectRows("List of all ids", h.listAll(alice, limit), rows)
	}
}

// oddSubjects are subjects that differ although a store could confuse them.
func oddSubjects() []session.Subject {
	list := []session.Subject{
		{Issuer: "i", Name: ""}, {Issuer: "i", Name: "s"}, {Issuer: "is", Name: ""}, {Issuer: "i:", Name: "s"}, {Issuer: "i", Name: ":s"},
		{Issuer: "i|", Name: "s"}, {Issuer: "i", Name: "|s"}, {Issuer: "i\x00", Name: "s"}, {Issuer: "i", Name: "\x00s"}, {Issuer: "i.", Name: "s"},
		{Issuer: "i", Name: ".s"}, {Issuer: "s", Name: "i"}, {Issuer: "I", Name: "s"}, {Issuer: "i/", Name: "s"}, {Issuer: "i", Name: "s/"},
		{Issuer: "https://login.example/{tenant}/v2.0", Name: "s"}, {Issuer: "https://login.example/a/v2.0", Name: "s"},
	}
	for _, text := range oddTexts {
		list = append(list, session.Subject{Issuer: "issuer", Name: text})
	}
	return list
}

func subjects(h *harness) {
	list := oddSubjects()
	rows := make([]session.Row, len(list))
	for i, s := range list {
		h.expectEpoch("not yet written: "+show(s), s, 0)
		h.expectNoRow("not yet written", s, idMarker+"same id")
		rows[i] = h.row(s, "same id", 0)
		rows[i].Nonce = fmt.Sprint(i)
		h.update(s, func(tx session.Tx) error {
			if err := tx.SetEpoch(uint64(i) + 1); err != nil {
				return err
			}
			return tx.Put(rows[i])
		})
	}
	for i, s := range list {
		h.expectEpoch("all were written: "+show(s), s, uint64(i)+1)
		h.expectRow("all were written", rows[i])
		h.expectRows("Live of "+show(s), h.live(s, 10), rows[i:i+1])
		h.expectRows("List of "+show(s), h.listAll(s, 10), rows[i:i+1])
	}
	for i, s := range list {
		if h.failed() {
			return
		}
		h.must("Forget", h.store.Forget(h.ctx, s))
		h.expectNoRow("forgotten", s, rows[i].ID)
		for _, next := range rows[i+1 : min(i+3, len(rows))] {
			h.expectRow("another subject was forgotten: "+show(s), next)
		}
		h.expectRow("another subject was forgotten: "+show(s), rows[len(rows)-1])
		if i == len(list)-2 {
			return
		}
	}
}

func manySubjects(h *harness) {
	const callers, perCaller, rounds = 32, 8, 4
	name := func(i, k int) session.Subject { return subject(fmt.Sprint(i, " ", k)) }
	h.concurrently(callers, func(i int) error {
		for round := range rounds {
			for k := range perCaller {
				row := h.row(name(i, k), fmt.Sprint(round), round)
				if err := h.tryPut(row); err != nil {
					return err
				}
			}
		}
		return nil
	})
	for i := range callers {
		for k := range perCaller {
			want := h.rows(name(i, k), "", rounds)
			slices.Reverse(want)
			h.expectRows("List of one of many", h.listAll(name(i, k), 3), want)
		}
	}
}

func thousandSessions(h *harness) {
	const sessions, chunk = 1000, 100
	rows := h.rows(alice, "", sessions)
	other := h.row(bob, "b", 0)
	h.put(other)
	for part := range slices.Chunk(rows, chunk) {
		h.put(part...)
	}
	h.expectRows("Live of a thousand", h.live(alice, sessions), rows)
	h.expectRows("Live of three of a thousand", h.live(alice, 3), rows[:3])
	newest := slices.Clone(rows)
	slices.Reverse(newest)
	h.expectRows("List of a thousand", h.listAll(alice, chunk), newest)

	for range 2 * sessions / chunk {
		page, _, err := h.store.List(h.ctx, alice, "", chunk)
		if h.must("List", err); len(page) == 0 || h.failed() {
			break
		}
		for i := range page {
			page[i] = h.ended(page[i])
		}
		h.put(page...)
	}
	h.expectRows("List after all were ended in chunks", h.listAll(alice, chunk), nil)
	h.expectRows("Live after all were ended in chunks", h.live(alice, chunk), nil)
	h.expectRow("ended", h.ended(rows[sessions/2]))
	h.must("Forget", h.store.Forget(h.ctx, alice))
	h.expectNoRow("forgotten", alice, rows[0].ID)
	h.expectNoRow("forgotten", alice, rows[sessions-1].ID)
	h.expectRow("another subject", other)
}
