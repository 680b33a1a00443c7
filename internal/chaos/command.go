package main

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/oapi-guard/oapi-guard/internal/redistest"
)

// send sends a command to a server of Redis.
func send(address string, args ...any) (reply any, err error) {
	client := redis.NewClient(&redis.Options{
		Addr: address, MaxRetries: -1, ContextTimeoutEnabled: true, DialTimeout: time.Second, ReadTimeout: 10 * time.Second,
	})
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return client.Do(ctx, args...).Result()
}

// do sends a command until it succeeds: on a busy machine a server may not answer in time.
func (c *chaos) do(s *redistest.Server, args ...any) (reply any) {
	c.eventually(fmt.Sprint(args...), func() (err error) {
		reply, err = send(s.Addr(), args...)
		return err
	})
	return reply
}
