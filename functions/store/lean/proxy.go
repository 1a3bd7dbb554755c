package lean

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"
)

// proxyAddress is where a proxy listens, HOST:PORT.
func proxyAddress(proxy *url.URL) string {
	port := proxy.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[proxy.Scheme]
	}
	return net.JoinHostPort(proxy.Hostname(), port)
}

// proxyError is a proxy's refusal.
type proxyError struct {
	proxy  string // HOST:PORT
	status int
}

func (e *proxyError) Error() string { return fmt.Sprintf("proxy %s answered %d", e.proxy, e.status) }

// tunnel asks the proxy at the other end of raw for a connection to h (RFC 9110,
// 9.3.6). It closes raw where it fails.
func (h *host) tunnel(ctx context.Context, raw net.Conn) (net.Conn, error) {
	stop := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })
	c, err := h.connectThrough(ctx, raw)
	if !stop() && err == nil {
		err = ctx.Err() // the deadline in the past stands
	}
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, errors.Join(err, raw.Close())
	}
	return c, nil
}

func (h *host) connectThrough(ctx context.Context, c net.Conn) (net.Conn, error) {
	if h.proxy.Scheme == "https" {
		config := h.tls.Clone()
		config.ServerName, config.ClientSessionCache = h.proxy.Hostname(), nil
		secure := tls.Client(c, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, fmt.Errorf("TLS with proxy %s: %w", h.dialed, err)
		}
		c = secure
	}
	request := "CONNECT " + h.address + " HTTP/1.1\r\nHost: " + h.address + "\r\nUser-Agent: fanout\r\n"
	if u := h.proxy.User; u != nil {
		password, _ := u.Password()
		request += "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password)) + "\r\n"
	}
	if _, err := c.Write([]byte(request + "\r\n")); err != nil {
		return nil, fmt.Errorf("proxy %s: %w", h.dialed, err)
	}
	var b []byte
	for !bytes.HasSuffix(b, headEnd) {
		if len(b) == maxHeadBytes {
			return nil, fmt.Errorf("proxy %s: %w: over %d bytes", h.dialed, errHead, maxHeadBytes)
		}
		// subtle: byte by byte, for what comes after belongs to the tunnel.
		var next [1]byte
		if _, err := c.Read(next[:]); err != nil {
			return nil, fmt.Errorf("proxy %s: %w", h.dialed, err)
		}
		b = append(b, next[0])
	}
	var answer head
	if err := answer.parse(b); err != nil {
		return nil, fmt.Errorf("proxy %s: %w", h.dialed, err)
	}
	if answer.status < 200 || answer.status > 299 {
		return nil, &proxyError{h.dialed, answer.status}
	}
	return c, nil
}
