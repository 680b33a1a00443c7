package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// asker asks what a verb cannot know. Where stdin is no terminal it returns an error that names the
// flag.
type asker struct {
	in       *bufio.Reader
	out      io.Writer
	terminal bool
}

// newAsker returns an asker for the streams of a command.
func newAsker(in io.Reader, out io.Writer) *asker {
	return &asker{bufio.NewReader(in), out, isTerminal(in)}
}

// maxAnswers bounds how often a question is asked.
const maxAnswers = 5

// choose asks for one of the options. The first one is the default.
func (a *asker) choose(question, flag string, options []string) (string, error) {
	if !a.terminal {
		return "", wrongUse("%s; say %s: %s", question, flag, orList(options))
	}
	fmt.Fprintf(a.out, "%s\n", question)
	for i, option := range options {
		fmt.Fprintf(a.out, "  %d  %s\n", i+1, option)
	}
	for range maxAnswers {
		fmt.Fprintf(a.out, "[1-%d, default 1]: ", len(options))
		line, err := a.in.ReadString('\n')
		if err != nil {
			fmt.Fprintln(a.out)
			return "", fmt.Errorf("no answer; say %s", flag)
		}
		answer := strings.TrimSpace(line)
		n, err := strconv.Atoi(answer)
		switch {
		case answer == "":
			return options[0], nil
		case slices.Contains(options, answer):
			return answer, nil
		case err == nil && n >= 1 && n <= len(options):
			return options[n-1], nil
		}
	}
	return "", errors.New("no answer that is one of the options; say " + flag)
}
