package main

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// trustedProxies are the addresses of the proxies in front of the service. Only they may say in
// X-Forwarded-For which address a request comes from.
type trustedProxies []netip.Prefix

// parseProxies reads a list such as "10.0.0.0/8, 192.0.2.1".
func parseProxies(text string) (trustedProxies, error) {
	var proxies trustedProxies
	for item := range strings.SplitSeq(text, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		prefix, err := netip.ParsePrefix(item)
		if err != nil {
			address, err := netip.ParseAddr(item)
			if err != nil {
				return nil, fmt.Errorf("TRUSTED_PROXIES: %q is neither an address nor a prefix such as 10.0.0.0/8", item)
			}
			prefix = netip.PrefixFrom(address, address.BitLen())
		}
		proxies = append(proxies, prefix.Masked())
	}
	return proxies, nil
}

func (p trustedProxies) contains(address netip.Addr) bool {
	return slices.ContainsFunc(p, func(prefix netip.Prefix) bool { return prefix.Contains(address) })
}

// client returns the address that a request comes from, or the zero address if it cannot be read.
//
// A proxy appends the address of its client to X-Forwarded-For. So the list is read from its end,
// as long as trusted proxies have written it. The rest may be made up.
func (p trustedProxies) client(r *http.Request) netip.Addr {
	client := parseAddress(r.RemoteAddr)
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !p.contains(client) {
			break
		}
		next := parseAddress(hop)
		if !next.IsValid() {
			break
		}
		client = next
	}
	return client
}

// parseAddress reads an address with or without a port. It returns the zero address if it cannot.
func parseAddress(text string) netip.Addr {
	text = strings.TrimSpace(text)
	address, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if withPort, portErr := netip.ParseAddrPort(text); portErr == nil {
		address, err = withPort.Addr(), nil
	}
	if err != nil {
		return netip.Addr{}
	}
	return address.Unmap().WithZone("")
}

// client is what is known about the client of a request.
type client struct {
	address   netip.Addr
	userAgent string
}

// network returns the network of the client: an IPv4 address, or the /64 of an IPv6 address, because
// a subscriber usually has all addresses of it.
func (c client) network() netip.Prefix {
	bits := c.address.BitLen()
	if c.address.Is6() {
		bits = 64
	}
	prefix, _ := c.address.Prefix(bits) // the zero prefix for the zero address
	return prefix
}

type clientKey struct{}

// remember puts the client on the context of each request.
func (p trustedProxies) remember(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from := client{p.client(r), r.UserAgent()}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), clientKey{}, from)))
	})
}

// clientOf returns the client that remember has put on the context.
func clientOf(ctx context.Context) client {
	from, _ := ctx.Value(clientKey{}).(client)
	return from
}
