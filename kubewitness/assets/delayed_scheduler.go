// A kube-scheduler that takes longer than it has to, by a known time: what judges latencies can be judged by it.
//
// Its plugin waits where its configuration enables it: at the extension point bind for KUBEWITNESS_DELAY (such as
// "20ms"), where pods wait side by side and their rate stays; at preFilter for KUBEWITNESS_CYCLE_DELAY, inside the
// scheduling cycle, of which there is one at a time. At either it waits once for each pod.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	"k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/cmd/kube-scheduler/app"
)

const name = "KubewitnessDelay"

type delay struct {
	beforeBinding, inCycle time.Duration
}

func (*delay) Name() string { return name }

func (d *delay) PreFilter(
	ctx context.Context, _ framework.CycleState, _ *v1.Pod, _ []framework.NodeInfo,
) (*framework.PreFilterResult, *framework.Status) {
	return nil, sleep(ctx, d.inCycle)
}

func (*delay) PreFilterExtensions() framework.PreFilterExtensions { return nil }

// SignPod says that no pod is special here. Without it, a scheduler that batches equal pods would not.
func (*delay) SignPod(context.Context, *v1.Pod) ([]framework.SignFragment, *framework.Status) {
	return nil, nil
}

// Bind leaves the binding to the next plugin. A PreBind plugin would do more than wait: for each of its pods the
// scheduler first writes a nominated node.
func (d *delay) Bind(ctx context.Context, _ framework.CycleState, _ *v1.Pod, _ string) *framework.Status {
	if status := sleep(ctx, d.beforeBinding); status != nil {
		return status
	}
	return framework.NewStatus(framework.Skip)
}

// A sleeper is woken up milliseconds late, and the size of the delay is to be known: the last ones are awake.
const awake = 3 * time.Millisecond

func sleep(ctx context.Context, duration time.Duration) *framework.Status {
	until := time.Now().Add(duration)
	if duration > awake {
		select {
		case <-ctx.Done():
			return framework.AsStatus(ctx.Err())
		case <-time.After(duration - awake):
		}
	}
	for time.Now().Before(until) {
	}
	return nil
}

func fromEnvironment(variable string) time.Duration {
	text := os.Getenv(variable)
	if text == "" {
		return 0
	}
	duration, err := time.ParseDuration(text)
	if err != nil || duration < 0 {
		fmt.Fprintf(os.Stderr, "%s=%s: wanted is a duration, such as 20ms\n", variable, text)
		os.Exit(2)
	}
	return duration
}

func main() {
	plugin := &delay{fromEnvironment("KUBEWITNESS_DELAY"), fromEnvironment("KUBEWITNESS_CYCLE_DELAY")}
	made := func(context.Context, runtime.Object, framework.Handle) (framework.Plugin, error) {
		return plugin, nil
	}
	os.Exit(cli.Run(app.NewSchedulerCommand(app.WithPlugin(name, made))))
}
