package main

import (
	"context"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericregistry "k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/names"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// strategy is the least that a stored type needs: spec and status are written apart, and generation counts changes of the spec.
type strategy struct {
	runtime.ObjectTyper
	names.NameGenerator
	kind
	isOfStatus bool
}

func (s strategy) NamespaceScoped() bool        { return s.isNamespaced }
func (s strategy) AllowCreateOnUpdate() bool    { return s.plural == "leases" }
func (strategy) AllowUnconditionalUpdate() bool { return true }
func (strategy) Canonicalize(runtime.Object)    {}

func (s strategy) PrepareForCreate(_ context.Context, object runtime.Object) {
	defaultPolicy(object)
	if part(object, "Spec").IsValid() {
		accessor(object).SetGeneration(1)
	}
	// Nodes and pods are made with a status here, as there is no kubelet.
	if s.hasStatus && s.plural != "nodes" && s.plural != "pods" {
		part(object, "Status").SetZero()
	}
	if namespace, ok := object.(*corev1.Namespace); ok {
		namespace.Status.Phase = corev1.NamespaceActive
	}
}

func (s strategy) PrepareForUpdate(_ context.Context, object, old runtime.Object) {
	defaultPolicy(object)
	if !s.hasStatus {
		return
	}
	kept := "Status"
	if s.isOfStatus {
		kept = "Spec"
	}
	part(object, kept).Set(part(old, kept))
	if !equality.Semantic.DeepEqual(part(object, "Spec").Interface(), part(old, "Spec").Interface()) {
		accessor(object).SetGeneration(accessor(object).GetGeneration() + 1)
	}
}

func (strategy) Validate(context.Context, runtime.Object) field.ErrorList { return nil }
func (strategy) ValidateUpdate(context.Context, runtime.Object, runtime.Object) field.ErrorList {
	return nil
}
func (strategy) WarningsOnCreate(context.Context, runtime.Object) []string { return nil }
func (strategy) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}

func (s strategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	if !s.hasStatus {
		return nil
	}
	reset := "status"
	if s.isOfStatus {
		reset = "spec"
	}
	return map[fieldpath.APIVersion]*fieldpath.Set{fieldpath.APIVersion(s.version.String()): fieldpath.NewSet(fieldpath.MakePathOrDie(reset))}
}

// part is a field of any of the types.
func part(object runtime.Object, name string) reflect.Value {
	return reflect.ValueOf(object).Elem().FieldByName(name)
}

func accessor(object runtime.Object) metav1.Object {
	found, err := meta.Accessor(object)
	must(err) // Every type here has metadata.
	return found
}

// store says what kubectl asks of a type.
type store struct {
	*registry.Store
	kind
}

func (s store) ShortNames() []string    { return s.short }
func (s store) GetSingularName() string { return s.singular }

// statusStore is the subresource.
type statusStore struct{ *registry.Store }

func (s statusStore) New() runtime.Object { return s.NewFunc() }
func (statusStore) Destroy()              {}
func (s statusStore) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	return s.Store.Get(ctx, name, options)
}
func (s statusStore) Update(ctx context.Context, name string, update rest.UpdatedObjectInfo, create rest.ValidateObjectFunc, validate rest.ValidateObjectUpdateFunc, _ bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return s.Store.Update(ctx, name, update, create, validate, false, options)
}

// storages are what serves a kind, by path.
func (k kind) storages(options genericregistry.RESTOptionsGetter) (map[string]rest.Storage, error) {
	object, list := reflect.TypeOf(k.object).Elem(), reflect.TypeOf(k.list).Elem()
	resource := k.version.WithResource(k.plural).GroupResource()
	if k.plural == "events" {
		resource = schema.GroupResource{Resource: "events"}
	}
	plain := strategy{scheme, names.SimpleNameGenerator, k, false}
	all := &registry.Store{
		NewFunc:                   func() runtime.Object { return reflect.New(object).Interface().(runtime.Object) },
		NewListFunc:               func() runtime.Object { return reflect.New(list).Interface().(runtime.Object) },
		DefaultQualifiedResource:  resource,
		SingularQualifiedResource: schema.GroupResource{Group: resource.Group, Resource: k.singular},
		PredicateFunc: func(label labels.Selector, field fields.Selector) storage.SelectionPredicate {
			return storage.SelectionPredicate{Label: label, Field: field, GetAttrs: selectable}
		},
		CreateStrategy: plain, UpdateStrategy: plain, DeleteStrategy: plain, ResetFieldsStrategy: plain,
		TableConvertor: rest.NewDefaultTableConvertor(resource),
	}
	if k.plural == "events" {
		all.TableConvertor = eventTable{}
		all.TTLFunc = func(runtime.Object, uint64, bool) (uint64, error) { return 3600, nil }
	}
	if err := all.CompleteWithOptions(&genericregistry.StoreOptions{RESTOptions: options, AttrFunc: selectable}); err != nil {
		return nil, err
	}
	out := map[string]rest.Storage{k.plural: store{all, k}}
	if k.hasStatus {
		status, ofStatus := *all, plain
		ofStatus.isOfStatus = true
		status.UpdateStrategy, status.ResetFieldsStrategy = ofStatus, ofStatus
		out[k.plural+"/status"] = statusStore{&status}
	}
	return out, nil
}

// selectable is what label and field selectors see.
func selectable(object runtime.Object) (labels.Set, fields.Set, error) {
	about := accessor(object)
	set := fields.Set{"metadata.name": about.GetName(), "metadata.namespace": about.GetNamespace()}
	switch x := object.(type) {
	case *corev1.Pod:
		set["spec.nodeName"], set["status.phase"] = x.Spec.NodeName, string(x.Status.Phase)
	case *corev1.Secret:
		set["type"] = string(x.Type)
	case *corev1.Event:
		of := x.InvolvedObject
		set["involvedObject.kind"], set["involvedObject.name"], set["involvedObject.namespace"], set["involvedObject.uid"] = of.Kind, of.Name, of.Namespace, string(of.UID)
		set["involvedObject.apiVersion"], set["involvedObject.resourceVersion"], set["involvedObject.fieldPath"] = of.APIVersion, of.ResourceVersion, of.FieldPath
		set["reason"], set["type"], set["reportingComponent"], set["source"] = x.Reason, x.Type, x.ReportingController, x.Source.Component
	}
	return about.GetLabels(), set, nil
}
