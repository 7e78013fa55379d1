package main

import (
	"context"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/informers"
	listers "k8s.io/client-go/listers/rbac/v1"
)

// rbac judges by the rules that are stored, as upstream does. Nobody is kept from giving away rights that they don't have, and
// roles aren't aggregated.
type rbac struct {
	roles               listers.RoleLister
	roleBindings        listers.RoleBindingLister
	clusterRoles        listers.ClusterRoleLister
	clusterRoleBindings listers.ClusterRoleBindingLister
}

// watch has it know what is stored, once the factory is started.
func (r *rbac) watch(factory informers.SharedInformerFactory) {
	all := factory.Rbac().V1()
	*r = rbac{all.Roles().Lister(), all.RoleBindings().Lister(), all.ClusterRoles().Lister(), all.ClusterRoleBindings().Lister()}
}

// Authorize implements authorizer.Authorizer.
func (r *rbac) Authorize(_ context.Context, asked authorizer.Attributes) (authorizer.Decision, string, error) {
	everywhere, err := r.clusterRoleBindings.List(labels.Everything())
	if err != nil {
		return authorizer.DecisionNoOpinion, "", err
	}
	for _, binding := range everywhere {
		if isMeant(binding.Subjects, asked.GetUser(), "") && allows(r.rules("", binding.RoleRef), asked) {
			return authorizer.DecisionAllow, "ClusterRoleBinding " + binding.Name, nil
		}
	}
	namespace := asked.GetNamespace()
	if namespace == "" {
		return authorizer.DecisionNoOpinion, "", nil
	}
	here, err := r.roleBindings.RoleBindings(namespace).List(labels.Everything())
	if err != nil {
		return authorizer.DecisionNoOpinion, "", err
	}
	for _, binding := range here {
		if isMeant(binding.Subjects, asked.GetUser(), namespace) && allows(r.rules(namespace, binding.RoleRef), asked) {
			return authorizer.DecisionAllow, "RoleBinding " + binding.Name, nil
		}
	}
	return authorizer.DecisionNoOpinion, "", nil
}

// rules are those of the role that a binding names; one that is missing gives no rights.
func (r *rbac) rules(namespace string, of rbacv1.RoleRef) []rbacv1.PolicyRule {
	if of.Kind == "ClusterRole" {
		if role, err := r.clusterRoles.Get(of.Name); err == nil {
			return role.Rules
		}
	} else if role, err := r.roles.Roles(namespace).Get(of.Name); err == nil {
		return role.Rules
	}
	return nil
}

func isMeant(subjects []rbacv1.Subject, who user.Info, namespace string) bool {
	return slices.ContainsFunc(subjects, func(s rbacv1.Subject) bool {
		switch s.Kind {
		case rbacv1.UserKind:
			return s.Name == who.GetName()
		case rbacv1.GroupKind:
			return slices.Contains(who.GetGroups(), s.Name)
		case rbacv1.ServiceAccountKind:
			if s.Namespace != "" {
				namespace = s.Namespace
			}
			return who.GetName() == serviceAccount(namespace, s.Name)
		}
		return false
	})
}

func serviceAccount(namespace, name string) string {
	return "system:serviceaccount:" + namespace + ":" + name
}

func allows(rules []rbacv1.PolicyRule, asked authorizer.Attributes) bool {
	return slices.ContainsFunc(rules, func(rule rbacv1.PolicyRule) bool {
		if !has(rule.Verbs, asked.GetVerb()) {
			return false
		}
		if !asked.IsResourceRequest() {
			return slices.ContainsFunc(rule.NonResourceURLs, func(path string) bool {
				start, isOpen := strings.CutSuffix(path, "*")
				return path == asked.GetPath() || isOpen && strings.HasPrefix(asked.GetPath(), start)
			})
		}
		isNamed := len(rule.ResourceNames) == 0 || slices.Contains(rule.ResourceNames, asked.GetName())
		return isNamed && has(rule.APIGroups, asked.GetAPIGroup()) && hasResource(rule.Resources, asked)
	})
}

func hasResource(resources []string, asked authorizer.Attributes) bool {
	if part := asked.GetSubresource(); part != "" {
		return has(resources, asked.GetResource()+"/"+part) || slices.Contains(resources, "*/"+part)
	}
	return has(resources, asked.GetResource())
}

func has(list []string, word string) bool {
	return slices.Contains(list, word) || slices.Contains(list, "*")
}
