package main

import (
	"context"
	"slices"
	"sync"

	"github.com/oapi-guard/oapi-guard/gen"
)

// maxReports bounds the number of reports. The oldest are removed first.
const maxReports = 100

// reports holds the published reports in memory.
type reports struct {
	mu  sync.Mutex
	all []gen.Report
}

func (r *reports) add(report gen.Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, report)
	r.all = r.all[max(0, len(r.all)-maxReports):]
}

func (r *reports) list() []gen.Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.all)
}

// ListReports is for users and for partners. The field of the accepted credential is set.
func (s *service) ListReports(_ context.Context, caller gen.AccessOrApiKeyCredential, _ gen.ListReportsRequestObject) (gen.ListReportsResponseObject, error) {
	all := gen.ListReports200JSONResponse{}
	for _, report := range s.reports.list() {
		if caller.ApiKey == nil || caller.ApiKey.Principal.Subject == report.Partner {
			all = append(all, report) // partners see their own
		}
	}
	return all, nil
}

func (s *service) PublishReport(_ context.Context, publisher gen.Publisher, request gen.PublishReportRequestObject) (gen.PublishReportResponseObject, error) {
	report := gen.Report{
		Title: request.Body.Title, Author: publisher.Access.Subject(), Partner: publisher.ApiKey.Principal.Subject,
	}
	s.reports.add(report)
	return gen.PublishReport201JSONResponse(report), nil
}
