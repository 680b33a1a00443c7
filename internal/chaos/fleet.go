package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/oapi-guard/oapi-guard/internal/redistest"
)

// fleet is the processes of a scenario.
type fleet struct {
	*chaos
	board *board
	file  string
	all   []*process

	began, ended time.Time // of the load
}

// process is a worker.
type process struct {
	id    int
	cmd   *exec.Cmd
	input io.WriteCloser
	done  chan struct{}

	mu    sync.Mutex
	last  report
	ready bool
	final *report
}

// startFleet starts n processes, the i-th with the store that config returns, and waits until their
// copies are complete. From the beginning the processes that are ready revoke, so that the first
// snapshots are read under load.
func (c *chaos) startFleet(n int, config func(i int) workerConfig) *fleet {
	f := &fleet{chaos: c, file: filepath.Join(c.TempDir(), "board")}
	var err error
	f.board, err = newBoard(f.file)
	c.must(err)
	f.board.setRate(c.rate)
	f.began = time.Now()
	for i := range n {
		cfg := config(i)
		cfg.ID, cfg.Processes, cfg.Board, cfg.Bound = i, n, f.file, c.bound
		f.all = append(f.all, c.startProcess(cfg))
	}
	for _, p := range f.all {
		f.wait(fmt.Sprintf("process %d is ready", p.id), c.timeout, func() error {
			select {
			case <-p.done:
				c.Fatalf("process %d has ended: %s", p.id, p.status().LastError)
			default:
			}
			if p.mu.Lock(); !p.ready {
				defer p.mu.Unlock()
				return errors.New("not ready")
			}
			p.mu.Unlock()
			return nil
		})
	}
	return f
}

func (c *chaos) startProcess(cfg workerConfig) *process {
	config, err := json.Marshal(cfg)
	c.must(err)
	self, err := os.Executable()
	c.must(err)
	p := &process{id: cfg.ID, cmd: exec.Command(self), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), workerVariable+"="+string(config))
	p.cmd.SysProcAttr = dieWithParent()
	p.cmd.Stderr = os.Stderr
	p.input, err = p.cmd.StdinPipe()
	c.must(err)
	output, err := p.cmd.StdoutPipe()
	c.must(err)
	c.must(p.cmd.Start())
	c.Cleanup(p.kill)
	go p.read(output)
	return p
}

func (p *process) read(output io.Reader) {
	defer close(p.done)
	lines := bufio.NewScanner(output)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var r report
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			continue
		}
		p.mu.Lock()
		switch {
		case r.Ready:
			p.ready = true
		case r.Final:
			p.final = &r
		default:
			p.last = r
		}
		p.mu.Unlock()
	}
	_ = p.cmd.Wait()
}

func (p *process) status() report {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

func (p *process) send(command string) { _, _ = fmt.Fprintln(p.input, command) }

// stop and resume freeze the process (SIGSTOP, SIGCONT).
func (p *process) stop()   { _ = p.cmd.Process.Signal(syscall.SIGSTOP) }
func (p *process) resume() { _ = p.cmd.Process.Signal(syscall.SIGCONT) }

// wait waits until f returns nil. After the timeout it ends the scenario.
func (f *fleet) wait(what string, timeout time.Duration, do func() error) {
	deadline := time.Now().Add(timeout)
	for {
		err := do()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			f.Fatalf("timeout while waiting until %s: %v", what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// settle waits until every copy answers again and revocations are acknowledged.
func (f *fleet) settle() {
	time.Sleep(150 * time.Millisecond) // until the next statuses
	var before []int64
	for _, p := range f.all {
		before = append(before, p.status().Acknowledged)
	}
	f.wait("the copies answer and revocations are acknowledged again", f.timeout, func() error {
		for i, p := range f.all {
			if s := p.status(); !s.Fresh || s.Acknowledged == before[i] {
				return fmt.Errorf("process %d: age %v, %d acknowledged, last error: %s", i, s.Age, s.Acknowledged, s.LastError)
			}
		}
		return nil
	})
}

// fresh waits until every copy answers.
func (f *fleet) fresh() {
	time.Sleep(150 * time.Millisecond) // until the next statuses
	f.wait("the copies answer", f.timeout, func() error {
		for i, p := range f.all {
			if s := p.status(); !s.Fresh {
				return fmt.Errorf("process %d: age %v, last error: %s", i, s.Age, s.LastError)
			}
		}
		return nil
	})
}

// finish ends the load, lets every process look up everything, and returns what they report.
func (f *fleet) finish() []report {
	f.settle()
	f.board.setRate(0)
	f.ended = time.Now()
	time.Sleep(f.bound + 200*time.Millisecond)
	for _, p := range f.all {
		p.send("finish")
	}
	var all []report
	for _, p := range f.all {
		f.wait("a process has finished", 2*time.Minute, func() error {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.final == nil {
				return errors.New("no report")
			}
			return nil
		})
		all = append(all, *p.final)
	}
	return all
}

// repeat runs the fault, lets everything recover, and does it again until the time of the scenario is
// over. The last fault is a whole one.
func (f *fleet) repeat(fault func(round int)) {
	end := time.Now().Add(f.duration)
	for round := 0; round == 0 || time.Now().Before(end); round++ {
		f.interrupted()
		fault(round)
		f.faults++
		f.settle()
	}
}

// pause waits for the time. Faults use it for how long they last.
func (c *chaos) pause(d time.Duration) { time.Sleep(d) }

// eventually waits for a state of a server.
func (c *chaos) eventually(what string, do func() error) { redistest.Eventually(c, what, do) }

// loaded returns how long the processes revoked.
func (f *fleet) loaded() time.Duration {
	if f.ended.IsZero() {
		return time.Since(f.began)
	}
	return f.ended.Sub(f.began)
}

// waitStatus returns the first status after the process became ready.
func (p *process) waitStatus() (s report) {
	for s = p.status(); s.Entries == 0; s = p.status() {
		time.Sleep(20 * time.Millisecond)
	}
	return s
}
