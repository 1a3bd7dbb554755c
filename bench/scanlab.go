package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"fanout/bench/internal/hint"
	"fanout/bench/internal/lab"
	"fanout/bench/internal/scan"
	"fanout/bench/internal/trial"
	"fanout/functions/lambda"
	fn "fanout/functions/scan"
)

// openLab starts a lab and puts its objects.
func (sf *scanFlags) openLab(ctx context.Context, s *scanning) (end func() error, err error) {
	sf.Log = newLog(s.show, sf.verbose)
	sf.Contenders, sf.Architectures = []lab.Contender{ownContender()}, []string{lambda.HostArchitecture()}
	closeLab, err := s.startLab(ctx, sf.Config, true)
	if err != nil {
		s.forget()
		return nil, err
	}
	return func() error {
		err := closeLab()
		if s.job == nil {
			s.forget()
		}
		return err
	}, nil
}

// forget removes what was kept for a job that was never started.
func (s *scanning) forget() {
	_ = os.RemoveAll(s.kept()) // which was not there before
	s.removeFolder()
}

// startLab starts a lab with Step Functions, for a new job or for one that is
// kept in the folder. Without its objects, which are there only if seeded, a job
// can be looked at.
func (s *scanning) startLab(ctx context.Context, cfg lab.Config, seeded bool) (end func() error, err error) {
	if _, err := os.Lstat(s.dir); errors.Is(err, os.ErrNotExist) {
		err = os.MkdirAll(s.dir, 0o755)
		if err != nil {
			return nil, hint.Failed("give another --out", "create the results folder: %w", err)
		}
		s.madeDir = true
	}
	cfg.Jobs, cfg.JobsDir = true, s.kept()
	var l *lab.Lab
	if seeded {
		warnCut(s.stderr, cfg.Corpus)
		l, err = startLab(ctx, cfg, s.show)
	} else {
		l, err = lab.Start(cfg)
	}
	if err != nil {
		return nil, err
	}
	if seeded {
		warnUnlimited(s.stderr, l.Lambda.Limits(), cfg.Log)
	}
	t := l.Targets[0]
	s.site = &scanSite{
		states: l.StatesClient(), s3: l.S3Client(), lambda: l.Client(), machine: l.Machines[0].ARN,
		bucket: lab.Bucket, prefix: cfg.Corpus.Prefix, results: lab.Results, corpus: &cfg.Corpus,
		header: scan.Header{
			Version: version, Backend: trial.Sandbox, Host: host(), Limits: l.Lambda.Limits(),
			Function: scan.Function{Name: t.Function, MemoryMB: t.MemoryMB, Arch: t.Arch}, Children: fn.Express,
			Lab: &scan.Lab{TimeoutS: int(cfg.Timeout / time.Second), Seed: cfg.Seed, NoLimits: cfg.NoLimits},
		},
	}
	h := &s.site.header
	h.Network, h.Model, h.Bandwidth = describe(cfg.Network)
	return l.Close, nil
}

// isScanFolder says whether a job is named by the folder of its files.
func isScanFolder(job string) bool {
	info, err := os.Stat(filepath.Join(job, scan.FileName))
	return err == nil && info.Mode().IsRegular()
}

// openFolder starts a lab for a job on this machine that is kept in its folder.
// A job on AWS is looked up.
func (jf *jobFlags) openFolder(ctx context.Context, dir string, s *scanning) (end func() error, err error) {
	file, err := scan.ReadPath(dir)
	if err != nil {
		return nil, hint.Usage("give the job's name, the ARN of its execution, or the folder that fanout scan wrote", "%w", err)
	}
	h := file.Header
	if h.Backend != trial.Sandbox || h.Lab == nil || h.Corpus == nil {
		return nil, hint.Usage("give the job's name with --stack, or the ARN of its execution",
			"%s is of a job that does not run on this machine", dir)
	}
	if jf.out != "" && filepath.Clean(jf.out) != filepath.Clean(dir) {
		return nil, hint.Usage("leave out --out", "--out %s: the job's files are in %s", jf.out, dir)
	}
	cfg := lab.Config{
		Contenders: []lab.Contender{ownContender()}, Architectures: []string{h.Function.Arch}, MemoriesMB: []int{h.Function.MemoryMB},
		Timeout: time.Duration(h.Lab.TimeoutS) * time.Second, Network: h.NetworkModel(), Corpus: *h.Corpus,
		Seed: h.Lab.Seed, NoLimits: h.Lab.NoLimits, Log: newLog(s.show, false),
	}
	s.dir = dir
	end, err = s.startLab(ctx, cfg, jf.reads)
	if errors.Is(err, lab.ErrInUse) {
		return nil, hint.Usage("the command that runs it shows how far it is; Ctrl-C stops it there",
			"the job in %s is running in another process", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("go on with the job in %s: %w", dir, err)
	}
	s.job = &scan.Job{Client: s.site.states, ARN: h.Execution}
	return end, nil
}
