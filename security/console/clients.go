package console

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// clients decides who gets the page.
type clients struct {
	remotes []netip.Prefix
	hosts   []string
}

// forwarding are the headers that proxies add. Behind a proxy the address of the connection is not
// that of the client.
var forwarding = []string{
	"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Server",
	"X-Real-Ip", "X-Client-Ip", "X-Cluster-Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip", "Fastly-Client-Ip",
}

// refuse returns why the request is refused, or "".
func (c *clients) refuse(r *http.Request) string {
	if !c.mayConnect(r.RemoteAddr) {
		return "its address is not loopback."
	}
	if !c.knowsHost(r.Host) {
		return "its Host is not a name of this machine."
	}
	for _, name := range forwarding {
		if _, ok := r.Header[name]; ok {
			return "it comes through a proxy."
		}
	}
	return ""
}

// mayConnect reports whether the address of a connection is loopback or allowed.
func (c *clients) mayConnect(remote string) bool {
	connection, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	address := connection.Addr().Unmap().WithZone("")
	return address.IsLoopback() || slices.ContainsFunc(c.remotes, func(network netip.Prefix) bool { return network.Contains(address) })
}

// knowsHost reports whether a Host names this machine. A page of another site can point its name to
// 127.0.0.1, but then the browser sends that name.
func (c *clients) knowsHost(host string) bool {
	name := host
	if withoutPort, _, err := net.SplitHostPort(host); err == nil {
		name = withoutPort
	} else if bracketed, ok := strings.CutPrefix(host, "["); ok {
		name, ok = strings.CutSuffix(bracketed, "]")
		if !ok {
			return false
		}
	}
	name = strings.ToLower(name)
	if name == "localhost" || slices.Contains(c.hosts, name) {
		return true
	}
	address, err := netip.ParseAddr(name)
	return err == nil && address.Unmap().IsLoopback()
}
