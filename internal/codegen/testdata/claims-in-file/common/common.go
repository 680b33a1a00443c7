// Package common stands for the package of another document, whose schemas this one refers to.
package common

// Claims is the schema of schemes.yaml.
type Claims struct {
	Name *string `json:"name,omitempty"`
}

// Session is the schema of session.yaml.
type Session struct {
	Device *string `json:"device,omitempty"`
}
