package main

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
)

// convertEvents tells the scheme that events of both groups are the same ones.
func convertEvents() {
	convert(toNew)
	convert(toOld)
	convert(func(from *corev1.EventList, to *eventsv1.EventList) {
		to.ListMeta, to.Items = from.ListMeta, each(from.Items, toNew)
	})
	convert(func(from *eventsv1.EventList, to *corev1.EventList) {
		to.ListMeta, to.Items = from.ListMeta, each(from.Items, toOld)
	})
}

func convert[From, To any](by func(*From, *To)) {
	must(scheme.AddConversionFunc((*From)(nil), (*To)(nil), func(from, to any, _ conversion.Scope) error {
		by(from.(*From), to.(*To))
		return nil
	}))
}

func each[From, To any](from []From, by func(*From, *To)) []To {
	to := make([]To, len(from))
	for i := range from {
		by(&from[i], &to[i])
	}
	return to
}

func toNew(from *corev1.Event, to *eventsv1.Event) {
	*to = eventsv1.Event{
		ObjectMeta: from.ObjectMeta, EventTime: from.EventTime,
		ReportingController: from.ReportingController, ReportingInstance: from.ReportingInstance,
		Action: from.Action, Reason: from.Reason, Type: from.Type,
		Regarding: from.InvolvedObject, Related: from.Related, Note: from.Message,
		DeprecatedSource: from.Source, DeprecatedCount: from.Count,
		DeprecatedFirstTimestamp: from.FirstTimestamp, DeprecatedLastTimestamp: from.LastTimestamp,
	}
	if from.Series != nil {
		to.Series = &eventsv1.EventSeries{Count: from.Series.Count, LastObservedTime: from.Series.LastObservedTime}
	}
}

func toOld(from *eventsv1.Event, to *corev1.Event) {
	*to = corev1.Event{
		ObjectMeta: from.ObjectMeta, EventTime: from.EventTime,
		ReportingController: from.ReportingController, ReportingInstance: from.ReportingInstance,
		Action: from.Action, Reason: from.Reason, Type: from.Type,
		InvolvedObject: from.Regarding, Related: from.Related, Message: from.Note,
		Source: from.DeprecatedSource, Count: from.DeprecatedCount,
		FirstTimestamp: from.DeprecatedFirstTimestamp, LastTimestamp: from.DeprecatedLastTimestamp,
	}
	if from.Series != nil {
		to.Series = &corev1.EventSeries{Count: from.Series.Count, LastObservedTime: from.Series.LastObservedTime}
	}
}

// eventTable is what `kubectl get events` prints.
type eventTable struct{}

// ConvertToTable implements rest.TableConvertor.
func (eventTable) ConvertToTable(_ context.Context, object, _ runtime.Object) (*metav1.Table, error) {
	table := &metav1.Table{}
	for _, column := range []string{"Last Seen", "Type", "Reason", "Object", "Message"} {
		table.ColumnDefinitions = append(table.ColumnDefinitions, metav1.TableColumnDefinition{Name: column, Type: "string"})
	}
	add := func(object runtime.Object) error {
		event := object.(*corev1.Event)
		seen := event.LastTimestamp.Time
		if seen.IsZero() {
			seen = event.EventTime.Time
		}
		of := event.InvolvedObject.Kind + "/" + event.InvolvedObject.Name
		cells := []any{seen.UTC().Format(time.RFC3339), event.Type, event.Reason, of, event.Message}
		table.Rows = append(table.Rows, metav1.TableRow{Cells: cells, Object: runtime.RawExtension{Object: object}})
		return nil
	}
	if !meta.IsListType(object) {
		return table, add(object)
	}
	list, err := meta.ListAccessor(object)
	if err != nil {
		return nil, err
	}
	table.ResourceVersion, table.Continue, table.RemainingItemCount = list.GetResourceVersion(), list.GetContinue(), list.GetRemainingItemCount()
	return table, meta.EachListItem(object, add)
}
