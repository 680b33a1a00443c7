package providers

import (
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/google/uuid"
)

// A checked argument is refused with an error that shows its right form. The argument itself is not
// in the error: it may be a secret that was passed by mistake.

// checkDomain checks a host name, with a port or without.
func checkDomain(what, domain, example string) error {
	u, err := url.Parse("https://" + domain)
	if err != nil || domain == "" || u.Host != domain || u.Hostname() == "" || strings.ContainsAny(domain, " {}") {
		return fmt.Errorf("providers: %s is like %q, without https:// and without a slash", what, example)
	}
	return nil
}

// checkURL checks an https URL without a slash at its end. http is for loopback addresses.
func checkURL(what, address, example string) error {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" ||
		strings.HasSuffix(address, "/") || strings.ContainsAny(address, " {}#") || u.Scheme != "https" && !isLocal(u) {
		return fmt.Errorf("providers: %s is like %q, with https:// and without a slash at its end", what, example)
	}
	return nil
}

func isLocal(u *url.URL) bool {
	return u.Scheme == "http" && (u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback())
}

// checkID checks an id that becomes a part of a URL or is compared with a claim.
func checkID(what, id, example string) error {
	if id == "" || strings.ContainsAny(id, " \t\r\n/?#{}\\") {
		return fmt.Errorf("providers: %s is like %q", what, example)
	}
	return nil
}

// checkNumber checks an id that is a number, as its decimal text.
func checkNumber(what, id, example string) error {
	if id == "" || strings.Trim(id, "0123456789") != "" {
		return fmt.Errorf("providers: %s is a number like %q", what, example)
	}
	return nil
}

// checkGUID checks a GUID in lower case, as Entra writes it.
func checkGUID(what, id string) error {
	if !isGUID(id) {
		return fmt.Errorf(`providers: %s is a GUID in lower case, like "6e74172b-be56-4843-9ff4-e66a39bb12e3"`, what)
	}
	return nil
}

// isGUID reports whether id is a GUID in lower case.
func isGUID(id string) bool {
	parsed, err := uuid.Parse(id)
	return err == nil && parsed.String() == id
}

// checkAudience checks an audience, which has no form of its own.
func checkAudience(audience string) error {
	if audience == "" || strings.TrimSpace(audience) != audience {
		return fmt.Errorf(`providers: the audience is the identifier of the API, exactly as the provider writes it in aud, like "https://api.example.com"`)
	}
	return nil
}
