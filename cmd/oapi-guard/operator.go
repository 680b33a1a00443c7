package main

import "github.com/spf13/cobra"

// operatorCommands returns the verbs for those who run a service.
func operatorCommands() []*cobra.Command { return nil }
