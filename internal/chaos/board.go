package main

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// board is memory that all processes of a scenario share: a file that each of them maps. It has a
// slot for each revocation, so that a process knows of the revocations of the others at once and
// without a message. Times are those of monotonic, which is one clock for all processes.
type board struct {
	words []atomic.Int64
}

// The words before the slots.
const (
	wordNext    = 0  // the number of the next revocation
	wordRate    = 1  // revocations a second of all processes together; 0 for a pause
	wordVictims = 16 // the first of maxVictims words: when a victim was revoked
	headWords   = 256

	maxVictims = headWords - wordVictims
)

// A slot has three words: when the session began, in milliseconds since 1970, the process that
// revokes, and the state.
const slotWords = 3

// The states of a slot. A larger one is the time at which Revoke had returned without an error.
const (
	stateFree   = 0
	stateBegun  = 1 // Revoke runs, or is tried again
	stateFailed = 2 // Revoke returned errors only: the revocation may be in force or not
	stateLost   = 3 // the store has lost it, which its guarantees allow
	stateBefore = 4 // smaller ones are no time
)

const maxSlots = 1 << 20

const boardSize = (headWords + slotWords*maxSlots) * 8

// newBoard makes the file.
func newBoard(path string) (*board, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := file.Truncate(boardSize); err != nil {
		_ = file.Close()
		return nil, err
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	return openBoard(path)
}

// openBoard maps the file. It stays mapped until the process ends.
func openBoard(path string) (*board, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	data, err := syscall.Mmap(int(file.Fd()), 0, boardSize, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("chaos: mmap: %w", err)
	}
	return &board{unsafe.Slice((*atomic.Int64)(unsafe.Pointer(&data[0])), boardSize/8)}, nil
}

// begin takes the next slot. It reports false if there is none.
func (b *board) begin(process int) (slot int, ok bool) {
	slot = int(b.words[wordNext].Add(1)) - 1
	if slot >= maxSlots {
		return 0, false
	}
	b.words[headWords+slotWords*slot].Store(time.Now().UnixMilli())
	b.words[headWords+slotWords*slot+1].Store(int64(process))
	b.setState(slot, stateBegun) // the last: it shows that the others are there
	return slot, true
}

// slots returns how many slots were taken.
func (b *board) slots() int { return min(int(b.words[wordNext].Load()), maxSlots) }

func (b *board) start(slot int) time.Time {
	return time.UnixMilli(b.words[headWords+slotWords*slot].Load())
}

func (b *board) process(slot int) int { return int(b.words[headWords+slotWords*slot+1].Load()) }

func (b *board) state(slot int) int64 { return b.words[headWords+slotWords*slot+2].Load() }

func (b *board) setState(slot int, state int64) { b.words[headWords+slotWords*slot+2].Store(state) }

func (b *board) rate() int64 { return b.words[wordRate].Load() }

func (b *board) setRate(rate int) { b.words[wordRate].Store(int64(rate)) }

// victim returns when the victim was revoked, or 0.
func (b *board) victim(n int) int64 { return b.words[wordVictims+n].Load() }

func (b *board) setVictim(n int, at int64) { b.words[wordVictims+n].Store(at) }
