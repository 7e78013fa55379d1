package main

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// defaultPolicy fills in what upstream's defaults do for a ValidatingAdmissionPolicy and its binding: the plugin relies on it.
func defaultPolicy(object runtime.Object) {
	var match *admissionv1.MatchResources
	switch x := object.(type) {
	case *admissionv1.ValidatingAdmissionPolicy:
		match = x.Spec.MatchConstraints
		orElse(&x.Spec.FailurePolicy, admissionv1.Fail)
	case *admissionv1.ValidatingAdmissionPolicyBinding:
		match = x.Spec.MatchResources
	}
	if match == nil {
		return
	}
	orElse(&match.MatchPolicy, admissionv1.Equivalent)
	orElse(&match.NamespaceSelector, metav1.LabelSelector{})
	orElse(&match.ObjectSelector, metav1.LabelSelector{})
	for _, rules := range [][]admissionv1.NamedRuleWithOperations{match.ResourceRules, match.ExcludeResourceRules} {
		for i := range rules {
			orElse(&rules[i].Scope, admissionv1.AllScopes)
		}
	}
}

func orElse[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}
