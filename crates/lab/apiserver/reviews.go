package main

import (
	"context"
	"reflect"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
)

// review answers `kubectl auth can-i`: SubjectAccessReview, or SelfSubjectAccessReview.
type review struct {
	isOfSelf bool
	judge    authorizer.Authorizer
}

func (r review) New() runtime.Object {
	if r.isOfSelf {
		return &authorizationv1.SelfSubjectAccessReview{}
	}
	return &authorizationv1.SubjectAccessReview{}
}
func (review) Destroy()              {}
func (review) NamespaceScoped() bool { return false }
func (r review) GetSingularName() string {
	return strings.ToLower(reflect.TypeOf(r.New()).Elem().Name())
}

func (r review) Create(ctx context.Context, object runtime.Object, _ rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	asked := authorizer.AttributesRecord{}
	var resource *authorizationv1.ResourceAttributes
	var other *authorizationv1.NonResourceAttributes
	switch x := object.(type) {
	case *authorizationv1.SelfSubjectAccessReview:
		asked.User, _ = request.UserFrom(ctx)
		resource, other = x.Spec.ResourceAttributes, x.Spec.NonResourceAttributes
	case *authorizationv1.SubjectAccessReview:
		asked.User = &user.DefaultInfo{Name: x.Spec.User, Groups: x.Spec.Groups, UID: x.Spec.UID}
		resource, other = x.Spec.ResourceAttributes, x.Spec.NonResourceAttributes
	}
	if resource != nil {
		asked.ResourceRequest, asked.Verb, asked.Namespace, asked.Name = true, resource.Verb, resource.Namespace, resource.Name
		asked.APIGroup, asked.APIVersion, asked.Resource, asked.Subresource = resource.Group, resource.Version, resource.Resource, resource.Subresource
	} else if other != nil {
		asked.Verb, asked.Path = other.Verb, other.Path
	}
	decision, why, err := r.judge.Authorize(ctx, asked)
	status := authorizationv1.SubjectAccessReviewStatus{Allowed: decision == authorizer.DecisionAllow, Reason: why}
	if err != nil {
		status.EvaluationError = err.Error()
	}
	part(object, "Status").Set(reflect.ValueOf(status))
	return object, nil
}
