package security

import (
	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

// Authority issues, verifies and revokes the tokens of one application. Make one with [New]; the
// parts are also available one by one.
type Authority struct {
	// Verifier accepts the tokens.
	Verifier *Verifier
	// Issuer issues them.
	Issuer *Issuer
	// Validator adds the blacklist and the hooks, and revokes. Generated code takes it.
	Validator *Validator
}

// Option is an option of [New]: a [VerifierOption], an [IssuerOption] or a [ValidatorOption].
type Option interface{ apply(*authorityOptions) }

type authorityOptions struct {
	verifier  []VerifierOption
	issuer    []IssuerOption
	validator []ValidatorOption
}

func (o VerifierOption) apply(all *authorityOptions)  { all.verifier = append(all.verifier, o) }
func (o IssuerOption) apply(all *authorityOptions)    { all.issuer = append(all.issuer, o) }
func (o ValidatorOption) apply(all *authorityOptions) { all.validator = append(all.validator, o) }

// New sets up the common case: an application that issues and verifies its tokens, with one
// blacklist. issuer is the name of the application and the exact value of the claim iss, by
// convention an https URL. source is a key set or a rotation that can sign. Everything is checked
// here.
func New(issuer string, source keys.Source, list blacklist.Blacklist, options ...Option) (*Authority, error) {
	var sorted authorityOptions
	for _, option := range options {
		if isNil(option) {
			return nil, errNilOption
		}
		option.apply(&sorted)
	}
	a := &Authority{}
	var err error
	if a.Verifier, err = NewVerifier(issuer, source, sorted.verifier...); err != nil {
		return nil, err
	}
	if a.Issuer, err = NewIssuer(a.Verifier, sorted.issuer...); err != nil {
		return nil, err
	}
	if a.Validator, err = NewValidator(a.Verifier, list, sorted.validator...); err != nil {
		return nil, err
	}
	return a, nil
}
